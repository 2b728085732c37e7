"""What a plugin implements: the typed contracts behind the four hooks. docs/PLUGINS.md is their manual."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from inpart.contracts.aid import AidState, PartitionAid, RecoveryAid
from inpart.contracts.common import API_VERSION, ByteRun, Finding, Provider, Severity
from inpart.contracts.editing import carry, checked_claims, in_use, require_room
from inpart.contracts.encoding import Encoding
from inpart.contracts.filesystem import (
    CLAIMS_DIRECTORY,
    Claim,
    Entry,
    EntryType,
    Filesystem,
    FilesystemEditor,
    FilesystemInfo,
    FilesystemProvider,
    FilesystemTree,
    Place,
    Probe,
    State,
    SystemArea,
    Vacated,
    Verdict,
)
from inpart.contracts.findings import ENOUGH, MAX_FINDINGS, Reporter, bounded
from inpart.contracts.layout import (
    ImageSummary,
    Layout,
    LayoutOptions,
    Plan,
    PlanRequest,
    Search,
    SearchMethod,
    Store,
    StoreChange,
    StoredImage,
    StoreWriter,
)
from inpart.contracts.transaction import Edits, Stage, journal_size

if TYPE_CHECKING:
    from inpart.contracts.aid_record import AidCheck, AidImage, AidRecord, check_record, parse_record

__all__ = [
    "API_VERSION",
    "CLAIMS_DIRECTORY",
    "ENOUGH",
    "MAX_FINDINGS",
    "AidCheck",
    "AidImage",
    "AidRecord",
    "AidState",
    "ByteRun",
    "Claim",
    "Edits",
    "Encoding",
    "Entry",
    "EntryType",
    "Filesystem",
    "FilesystemEditor",
    "FilesystemInfo",
    "FilesystemProvider",
    "FilesystemTree",
    "Finding",
    "ImageSummary",
    "Layout",
    "LayoutOptions",
    "PartitionAid",
    "Place",
    "Plan",
    "PlanRequest",
    "Probe",
    "Provider",
    "RecoveryAid",
    "Reporter",
    "Search",
    "SearchMethod",
    "Severity",
    "Stage",
    "State",
    "Store",
    "StoreChange",
    "StoreWriter",
    "StoredImage",
    "SystemArea",
    "Vacated",
    "Verdict",
    "bounded",
    "carry",
    "check_record",
    "checked_claims",
    "in_use",
    "journal_size",
    "parse_record",
    "require_room",
]


def __getattr__(name: str) -> object:
    """The models of recovery aids, when somebody asks for them: pydantic takes longer to load than a probe runs."""
    if name in {"AidCheck", "AidImage", "AidRecord", "check_record", "parse_record"}:
        return getattr(import_module("inpart.contracts.aid_record"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
