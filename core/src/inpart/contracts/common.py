"""What all kinds of providers share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

API_VERSION = 1


@runtime_checkable
class Provider(Protocol):
    """What every provider carries: a unique name, the API version it was written for, one line for people."""

    @property
    def name(self) -> str:
        """Lower-case identifier, unique among the providers of its kind."""

    @property
    def api_version(self) -> int:
        """The value of ``API_VERSION`` that the provider was written for."""

    @property
    def summary(self) -> str:
        """One line, shown by ``inpart plugins``."""


class ByteRun(NamedTuple):
    """``length`` bytes from ``start`` on, relative to the partition unless said otherwise."""

    start: int
    length: int


class Severity(StrEnum):
    """NOTE: worth knowing. WARNING: harmless now, mend it. ERROR: something is lost or would be."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing that a check found: ``code`` is stable (``fat.lost-clusters``), ``where`` is a place or path."""

    severity: Severity
    code: str
    where: str
    message: str
