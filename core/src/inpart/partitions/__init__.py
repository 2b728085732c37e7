"""Partition tables: read, locate, copy, put back; and the addresses by which people name partitions."""

from inpart.partitions.adding import add_partition
from inpart.partitions.address import Address, Target, open_target, parse_address
from inpart.partitions.devices import node_of, reread_partitions
from inpart.partitions.mbr import Chs, MasterBootRecord, MbrEntry, parse_chs
from inpart.partitions.model import Note, PartitionEntry, PartitionTable, TableArea, TableKind
from inpart.partitions.reader import read_table
from inpart.partitions.repair import Repair, TableEdit, apply_repair, repair_entry, repair_table
from inpart.partitions.saved import SavedAreas, save_table, saved_table, table_areas
from inpart.partitions.unpartitioned import filesystem_at

__all__ = [
    "Address",
    "Chs",
    "MasterBootRecord",
    "MbrEntry",
    "Note",
    "PartitionEntry",
    "PartitionTable",
    "Repair",
    "SavedAreas",
    "TableArea",
    "TableEdit",
    "TableKind",
    "Target",
    "add_partition",
    "apply_repair",
    "filesystem_at",
    "node_of",
    "open_target",
    "parse_address",
    "parse_chs",
    "read_table",
    "repair_entry",
    "repair_table",
    "reread_partitions",
    "save_table",
    "saved_table",
    "table_areas",
]
