"""How the check of FAT writes findings."""

from __future__ import annotations

from inpart.contracts import Reporter

_REPORTER = Reporter("fat")
error = _REPORTER.error
warning = _REPORTER.warning
note = _REPORTER.note
