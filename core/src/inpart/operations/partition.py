"""The partition that an operation works on, with its file system and the stores in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from inpart.contracts import (
    Filesystem,
    FilesystemEditor,
    FilesystemProvider,
    SearchMethod,
    State,
)
from inpart.errors import FilesystemError, FilesystemUnclean, FilesystemUnsupported, IntegrityError
from inpart.operations.filesystems import UNCLEAN, find_filesystem
from inpart.operations.health import errors_of, refuse_errors
from inpart.operations.journals import refuse_unfinished
from inpart.operations.raw import RawPartition, RawProvider
from inpart.operations.session import Session
from inpart.operations.stores import Located, claims_of, locate
from inpart.volume import Volume

_SHOWN = 5


@dataclass(frozen=True)
class Mounted:
    """A healthy partition: its volume, the provider of its file system, and that file system as it is now."""

    volume: Volume
    provider: FilesystemProvider
    filesystem: Filesystem

    def reopened(self) -> Mounted:
        """The same partition after something was committed to it."""
        return Mounted(self.volume, self.provider, self.provider.open(self.volume))

    def editor(self, volume: Volume | None = None) -> FilesystemEditor:
        """An editor on ``volume``, normally the view of a transaction. Raises FilesystemUnsupported."""
        return edit(self.provider, self.volume if volume is None else volume)


def edit(provider: FilesystemProvider, volume: Volume) -> FilesystemEditor:
    """Open the file system on ``volume`` for editing. Raises FilesystemUnsupported if its plugin cannot."""
    opened = provider.open(volume)
    if isinstance(opened, FilesystemEditor):
        return opened
    if isinstance(opened, RawPartition):
        what = f"{volume.name} has no known file system that could keep an image in itself"
    else:
        what = f"the plugin for {provider.name} reads this file system but cannot edit it"
    raise FilesystemUnsupported(
        what,
        hint="create with --to FILE stores the image outside the partition",
    )


def open_healthy(session: Session, volume: Volume, allowed: Collection[State] | None = None) -> Mounted:
    """The file system of ``volume``, checked, for making an image of it.

    Raises FilesystemDamaged with what the check found, and what ``open_clean`` raises.
    """
    mounted = open_clean(session, volume, allowed)
    refuse_errors(volume.name, errors_of(mounted.filesystem))
    return mounted


def open_clean(session: Session, volume: Volume, allowed: Collection[State] | None = None) -> Mounted:
    """The file system of ``volume``, not checked. Raises FilesystemUnclean for a state that is not in ``allowed``.

    None stands for callers that nobody can tell to allow one.
    """
    provider, filesystem = _recognised(session, volume)
    for note in filesystem.info.notes:
        session.warn(note)
    state = filesystem.info.state
    if state is not State.CLEAN and state not in (allowed or ()):
        raise FilesystemUnclean(f"{volume.name}: the file system {UNCLEAN[state]}", hint=_ways_out(state, allowed))
    return Mounted(volume, provider, filesystem)


def _ways_out(state: State, allowed: Collection[State] | None) -> str:
    hint = "mount and unmount it, or check it, with its own tools"
    if allowed is None:
        return f"{hint}; `inpart restore` brings back an image of it"
    return (
        f"{hint}; --allow-{state.value} makes the image all the same, with some file systems only together with "
        "--to FILE"
    )


def open_as_it_is(session: Session, volume: Volume) -> Mounted:
    """What is on ``volume`` for a copy of every sector: unclean, damaged or unknown is only worth a warning."""
    try:
        return open_healthy(session, volume, tuple(State))
    except FilesystemError as error:
        session.warn(f"{error.message}; every sector is copied as it is")
        return Mounted(volume, RawProvider(), RawPartition(volume))


def _recognised(session: Session, volume: Volume) -> tuple[FilesystemProvider, Filesystem]:
    """The file system; where there is none because a restore was cut short, that is what is said."""
    try:
        provider = find_filesystem(session, volume)
        return provider, provider.open(volume)
    except FilesystemError:
        refuse_unfinished(session, volume, locate(session, volume, (SearchMethod.FIXED,)).stores)
        raise


def open_stores(session: Session, volume: Volume) -> Located:
    """The stores that a file system claims, to be added to. Raises IntegrityError, UnfinishedJournal.

    To be called before the file system is judged: an unfinished change may be all that is wrong with it.
    """
    located = locate(session, volume, (SearchMethod.CLAIMS,))
    refuse_unfinished(session, volume, located.stores)
    claims = claims_of(session, volume) or ()
    strangers = [claim.name for claim in claims if claim.runs and claim.name != "journal"]
    if strangers and not located.found:
        raise IntegrityError(
            f"{volume.name}: /.inpart holds {', '.join(strangers[:_SHOWN])} but no table of contents can be read",
            hint="`inpart locate` shows what can be found; if there is nothing of inpart's, give /.inpart another name",
        )
    return located
