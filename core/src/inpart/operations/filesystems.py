"""Which file system a volume holds: every provider is asked, nothing is guessed."""

from __future__ import annotations

from functools import partial

from inpart.contracts import FilesystemProvider, Probe, State, Verdict
from inpart.errors import FilesystemUnsupported, UsageError
from inpart.operations.session import Session
from inpart.plugins import ask
from inpart.volume import Volume

UNCLEAN = {
    State.DIRTY: "is mounted or was not unmounted cleanly",
    State.ERRORS: "has errors",
    State.NEEDS_REPLAY: "is mounted or has a journal that was not replayed",
    State.HIBERNATED: "belongs to a hibernated system",
}
"""What a state other than clean means, after the words "the file system"."""


def ask_providers(session: Session, volume: Volume) -> list[tuple[FilesystemProvider, Probe]]:
    """Every provider that does not say "not mine", with its answer."""
    silent = Probe(Verdict.NOT_MINE)
    answers = [
        (provider, ask(provider, partial(provider.probe, volume), silent, session.warn))
        for provider in session.plugins.filesystems
    ]
    return [(provider, probe) for provider, probe in answers if probe.verdict is not Verdict.NOT_MINE]


def find_filesystem(session: Session, volume: Volume) -> FilesystemProvider:
    """The provider for ``volume``: the one that was named with ``--filesystem``, or else the only one that claims it.

    A sound file system wins over damaged remains of another. Raises FilesystemUnsupported if there is none,
    UsageError that lists the candidates if there are several, or if the volume is an image in a file.
    """
    if session.filesystem is not None:
        return session.plugins.filesystem(session.filesystem)
    answers = ask_providers(session, volume)
    sound = [(provider, probe) for provider, probe in answers if probe.verdict is Verdict.MINE]
    candidates = sound or answers
    if not candidates:
        _refuse_image(volume)
        names = ", ".join(provider.name for provider in session.plugins.filesystems) or "none"
        raise FilesystemUnsupported(
            f"{volume.name}: no file system recognised (known: {names})",
            hint="`inpart plugins` shows what is installed; `inpart locate` finds images without a file system; "
            "`inpart create --all-sectors --to FILE` copies every sector as it is",
        )
    if len(candidates) > 1:
        listed = "; ".join(f"{provider.name} ({probe.detail})" for provider, probe in candidates)
        raise UsageError(
            f"{volume.name}: several file systems claim it: {listed}", hint="choose with --filesystem NAME"
        )
    return candidates[0][0]


def _refuse_image(volume: Volume) -> None:
    """Raise UsageError if ``volume`` is no partition but an image in a file."""
    from inpart.image import is_image_stream  # noqa: PLC0415 - a probe that finds a file system does not need it

    if is_image_stream(volume):
        raise UsageError(
            f"{volume.name} is an image in a file, not a partition",
            hint="`inpart show` describes it, `inpart ls` lists its files, `inpart restore FILE --to TARGET` makes a "
            "partition of it",
        )
