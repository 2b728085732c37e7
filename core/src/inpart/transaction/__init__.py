"""Transactions: changes that are read through before they happen, the journal that protects them, and its replay."""

from inpart.transaction.area import SMALLEST_AREA, UNIT
from inpart.transaction.journal import Journal, check_idle, clear_area, find_journal, retire, scan_for_journals
from inpart.transaction.journal_format import JournalState
from inpart.transaction.replay import replay
from inpart.transaction.restore_record import (
    RestoreRecord,
    clear_restore_record,
    read_restore_record,
    write_restore_record,
)
from inpart.transaction.staged import Transaction, TransactionMisuse

__all__ = [
    "SMALLEST_AREA",
    "UNIT",
    "Journal",
    "JournalState",
    "RestoreRecord",
    "Transaction",
    "TransactionMisuse",
    "check_idle",
    "clear_area",
    "clear_restore_record",
    "find_journal",
    "read_restore_record",
    "replay",
    "retire",
    "scan_for_journals",
    "write_restore_record",
]
