"""Hooks of the NTFS plugin."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import FilesystemProvider
from inpart.hookspecs import hookimpl

from inpart_ntfs.provider import NtfsProvider


@hookimpl
def inpart_filesystems() -> Sequence[FilesystemProvider]:
    """The one provider of this plugin."""
    return (NtfsProvider(),)
