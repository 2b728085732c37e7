"""Hooks of the recovery aid ``partition``."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import RecoveryAid
from inpart.hookspecs import hookimpl


@hookimpl
def inpart_recovery_aids() -> Sequence[RecoveryAid]:
    """The one aid of this package."""
    from inpart_aid_partition.aid import RecoveryPartition  # noqa: PLC0415 - not every command needs an aid

    return (RecoveryPartition(),)
