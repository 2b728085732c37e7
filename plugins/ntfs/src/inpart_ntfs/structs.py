"""The structures of NTFS on disk, by their usual names.

Source of facts: the documentation of the linux-ntfs project and of libfsntfs. All numbers are little-endian.
Offsets of single fields: ``field_offset(FILE_RECORD, "flags")``.
"""

from __future__ import annotations

import numpy as np

Struct = np.dtype[np.void]

BLOCK = 512
"""Bytes of a stride of the update sequence, whatever the sector size."""

OEM_ID = b"NTFS    "
BOOT_SIGNATURE = b"\x55\xaa"

BPB: Struct = np.dtype(
    [
        ("jump", "u1", 3),
        ("oem_id", "S8"),
        ("bytes_per_sector", "<u2"),
        ("sectors_per_cluster", "u1"),
        ("reserved_sectors", "<u2"),
        ("fats", "u1"),
        ("root_entries", "<u2"),
        ("sectors", "<u2"),
        ("media_type", "u1"),
        ("sectors_per_fat", "<u2"),
        ("sectors_per_track", "<u2"),
        ("heads", "<u2"),
        ("hidden_sectors", "<u4"),
        ("large_sectors", "<u4"),
        ("physical_drive", "u1"),
        ("current_head", "u1"),
        ("extended_boot_signature", "u1"),
        ("reserved", "u1"),
        ("number_of_sectors", "<u8"),
        ("mft_lcn", "<u8"),
        ("mftmirr_lcn", "<u8"),
        ("clusters_per_mft_record", "i1"),
        ("reserved0", "u1", 3),
        ("clusters_per_index_record", "i1"),
        ("reserved1", "u1", 3),
        ("volume_serial_number", "<u8"),
        ("checksum", "<u4"),
        ("bootstrap", "u1", 426),
        ("end_of_sector_marker", "<u2"),
    ]
)
"""The boot sector, 512 bytes."""

FILE_RECORD: Struct = np.dtype(
    [
        ("magic", "<u4"),
        ("usa_ofs", "<u2"),
        ("usa_count", "<u2"),
        ("lsn", "<u8"),
        ("sequence_number", "<u2"),
        ("link_count", "<u2"),
        ("attrs_offset", "<u2"),
        ("flags", "<u2"),
        ("bytes_in_use", "<u4"),
        ("bytes_allocated", "<u4"),
        ("base_mft_record", "<u8"),
        ("next_attr_instance", "<u2"),
        ("reserved", "<u2"),
        ("mft_record_number", "<u4"),
    ]
)
"""The header of a FILE record, 48 bytes; the last two fields exist since NTFS 3.1 only."""

ATTR_RECORD: Struct = np.dtype(
    [
        ("type", "<u4"),
        ("length", "<u4"),
        ("non_resident", "u1"),
        ("name_length", "u1"),
        ("name_offset", "<u2"),
        ("flags", "<u2"),
        ("instance", "<u2"),
    ]
)
"""What every attribute starts with, 16 bytes."""

ATTR_RESIDENT: Struct = np.dtype(
    [("value_length", "<u4"), ("value_offset", "<u2"), ("resident_flags", "u1"), ("reserved", "u1")]
)
"""What follows ATTR_RECORD in a resident attribute, 8 bytes."""

ATTR_NON_RESIDENT: Struct = np.dtype(
    [
        ("lowest_vcn", "<i8"),
        ("highest_vcn", "<i8"),
        ("mapping_pairs_offset", "<u2"),
        ("compression_unit", "u1"),
        ("reserved", "u1", 5),
        ("allocated_size", "<i8"),
        ("data_size", "<i8"),
        ("initialized_size", "<i8"),
        ("compressed_size", "<i8"),
    ]
)
"""What follows ATTR_RECORD in a non-resident one, 56 bytes; compressed_size only if compressed or sparse.

The sizes count in the attribute's first piece only, the one with lowest_vcn 0.
"""

STANDARD_INFORMATION: Struct = np.dtype(
    [
        ("creation_time", "<i8"),
        ("last_data_change_time", "<i8"),
        ("last_mft_change_time", "<i8"),
        ("last_access_time", "<i8"),
        ("file_attributes", "<u4"),
        ("maximum_versions", "<u4"),
        ("version_number", "<u4"),
        ("class_id", "<u4"),
        ("owner_id", "<u4"),
        ("security_id", "<u4"),
        ("quota_charged", "<u8"),
        ("usn", "<u8"),
    ]
)
"""72 bytes; 48 up to ``class_id`` in NTFS 1.2 and in files made under it. Times are 100 ns since 1601."""

FILE_NAME: Struct = np.dtype(
    [
        ("parent_directory", "<u8"),
        ("creation_time", "<i8"),
        ("last_data_change_time", "<i8"),
        ("last_mft_change_time", "<i8"),
        ("last_access_time", "<i8"),
        ("allocated_size", "<i8"),
        ("data_size", "<i8"),
        ("file_attributes", "<u4"),
        ("packed_ea_size", "<u2"),
        ("reserved", "<u2"),
        ("file_name_length", "u1"),
        ("file_name_type", "u1"),
    ]
)
"""66 bytes, the name follows in UTF-16. In place of packed_ea_size and reserved a reparse point has its tag."""

ATTR_LIST_ENTRY: Struct = np.dtype(
    [
        ("type", "<u4"),
        ("length", "<u2"),
        ("name_length", "u1"),
        ("name_offset", "u1"),
        ("lowest_vcn", "<i8"),
        ("mft_reference", "<u8"),
        ("instance", "<u2"),
    ]
)
"""26 bytes, the name follows; entries are aligned to 8 bytes."""

INDEX_HEADER: Struct = np.dtype(
    [("entries_offset", "<u4"), ("index_length", "<u4"), ("allocated_size", "<u4"), ("flags", "u1"), ("pad", "u1", 3)]
)
"""16 bytes; its offsets count from its own first byte."""

INDEX_ROOT: Struct = np.dtype(
    [
        ("type", "<u4"),
        ("collation_rule", "<u4"),
        ("index_block_size", "<u4"),
        ("clusters_per_index_block", "i1"),
        ("reserved", "u1", 3),
        ("index", INDEX_HEADER),
    ]
)
"""32 bytes, entries follow."""

INDEX_BLOCK: Struct = np.dtype(
    [
        ("magic", "<u4"),
        ("usa_ofs", "<u2"),
        ("usa_count", "<u2"),
        ("lsn", "<u8"),
        ("index_block_vcn", "<i8"),
        ("index", INDEX_HEADER),
    ]
)
"""The header of an INDX block, 40 bytes."""

INDEX_ENTRY: Struct = np.dtype(
    [("indexed_file", "<u8"), ("length", "<u2"), ("key_length", "<u2"), ("flags", "<u2"), ("reserved", "<u2")]
)
"""16 bytes, the key follows; the VCN of the child block is in the entry's last 8 bytes."""

VOLUME_INFORMATION: Struct = np.dtype([("reserved", "<u8"), ("major_ver", "u1"), ("minor_ver", "u1"), ("flags", "<u2")])
"""12 bytes."""

RESTART_PAGE: Struct = np.dtype(
    [
        ("magic", "<u4"),
        ("usa_ofs", "<u2"),
        ("usa_count", "<u2"),
        ("chkdsk_lsn", "<u8"),
        ("system_page_size", "<u4"),
        ("log_page_size", "<u4"),
        ("restart_area_offset", "<u2"),
        ("minor_ver", "<i2"),
        ("major_ver", "<i2"),
    ]
)
"""The header of each of the two restart pages of $LogFile, 30 bytes."""

RESTART_AREA: Struct = np.dtype(
    [
        ("current_lsn", "<i8"),
        ("log_clients", "<u2"),
        ("client_free_list", "<u2"),
        ("client_in_use_list", "<u2"),
        ("flags", "<u2"),
    ]
)
"""The start of the restart area, 16 bytes."""

MAGIC_FILE = int.from_bytes(b"FILE", "little")
MAGIC_INDX = int.from_bytes(b"INDX", "little")
MAGIC_BAAD = int.from_bytes(b"BAAD", "little")
MAGIC_RSTR = int.from_bytes(b"RSTR", "little")
MAGIC_CHKD = int.from_bytes(b"CHKD", "little")

NO_CLIENT = 0xFFFF
RESTART_VOLUME_IS_CLEAN = 0x0002

HEADER_SIZE_OLD = 42
"""Bytes of FILE_RECORD before NTFS 3.1; the update sequence follows."""
RESIDENT_SIZE = ATTR_RECORD.itemsize + ATTR_RESIDENT.itemsize
NON_RESIDENT_SIZE = ATTR_RECORD.itemsize + 48
"""Bytes of a non-resident attribute's header without compressed_size."""
COMPRESSED_SIZE = NON_RESIDENT_SIZE + 8
"""The same with compressed_size."""
MAX_ATTRIBUTE_LIST = 256 << 10
"""Bytes of the largest attribute list that Windows makes."""


def field_offset(struct: Struct, name: str) -> int:
    """Byte of ``struct`` at which a field starts."""
    fields = struct.fields
    if fields is None:
        raise KeyError(name)
    return int(fields[name][1])
