"""The four hooks. Each returns a sequence of providers and does nothing else; behaviour is in inpart.contracts."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from inpart.contracts import Encoding, FilesystemProvider, Layout, RecoveryAid

PROJECT = "inpart"
ENTRY_POINT_GROUP = "inpart"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def inpart_filesystems() -> Sequence[FilesystemProvider]:  # type: ignore[empty-body]
    """File systems that the plugin reads, and perhaps edits. Called once; must not raise."""


@hookspec
def inpart_encodings() -> Sequence[Encoding]:  # type: ignore[empty-body]
    """Encodings for the frames of an image stream. Called once; must not raise."""


@hookspec
def inpart_layouts() -> Sequence[Layout]:  # type: ignore[empty-body]
    """Storage layouts. Called once; must not raise."""


@hookspec
def inpart_recovery_aids() -> Sequence[RecoveryAid]:  # type: ignore[empty-body]
    """Writers and readers of recovery aids. Called once; must not raise."""
