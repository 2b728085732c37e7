"""Hooks of the recovery aid ``reserved``."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import RecoveryAid
from inpart.hookspecs import hookimpl


@hookimpl
def inpart_recovery_aids() -> Sequence[RecoveryAid]:
    """The one aid of this package."""
    from inpart_aid_reserved.aid import ReservedAid  # noqa: PLC0415 - not every command needs an aid

    return (ReservedAid(),)
