"""What discovery yields: the providers in use, the plugins they came from, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from inpart.contracts import Encoding, FilesystemProvider, Layout, Provider, RecoveryAid
from inpart.errors import PluginError, UsageError

P = TypeVar("P", bound=Provider)


class Kind(StrEnum):
    """What a provider provides."""

    FILESYSTEM = "filesystem"
    ENCODING = "encoding"
    LAYOUT = "layout"
    RECOVERY_AID = "recovery-aid"


class Trouble(StrEnum):
    """What can be wrong with a plugin. The values are stable: ``inpart plugins --json`` shows them."""

    LOAD_FAILED = "load-failed"
    BAD_HOOK = "bad-hook"
    HOOK_FAILED = "hook-failed"
    BAD_PROVIDER = "bad-provider"
    API_VERSION = "api-version"
    DUPLICATE = "duplicate"


class Source(NamedTuple):
    """Where a plugin comes from: its distribution and the name of its entry point in the group ``inpart``."""

    distribution: str
    version: str
    entry_point: str

    def __str__(self) -> str:
        return f"{self.entry_point} of {self.distribution} {self.version}"


@dataclass(frozen=True)
class LoadedProvider:
    """A provider in use, as ``inpart plugins`` shows it."""

    kind: Kind
    name: str
    api_version: int
    summary: str


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin that could be imported, with those of its providers that can be used."""

    source: Source
    providers: tuple[LoadedProvider, ...]


@dataclass(frozen=True)
class PluginProblem:
    """Something that is not used, and why. ``kind`` and ``name`` tell the provider, where it got as far as that."""

    source: Source
    what: Trouble
    detail: str
    kind: Kind | None = None
    name: str = ""


@dataclass(frozen=True)
class Plugins:
    """All providers that can be used, by kind, sorted by distribution and entry point; and what cannot be used."""

    filesystems: tuple[FilesystemProvider, ...] = ()
    encodings: tuple[Encoding, ...] = ()
    layouts: tuple[Layout, ...] = ()
    aids: tuple[RecoveryAid, ...] = ()
    loaded: tuple[LoadedPlugin, ...] = ()
    problems: tuple[PluginProblem, ...] = ()
    disabled: tuple[Source, ...] = ()

    @property
    def encodings_by_id(self) -> dict[int, Encoding]:
        """The encodings by the number that stands in frames."""
        return {encoding.encoding_id: encoding for encoding in self.encodings}

    def filesystem(self, name: str) -> FilesystemProvider:
        """The file system called ``name``. Raises UsageError, or PluginError if its plugin has a problem."""
        return self._named(Kind.FILESYSTEM, self.filesystems, name)

    def layout(self, name: str) -> Layout:
        """The layout called ``name``. Raises UsageError, or PluginError if its plugin has a problem."""
        return self._named(Kind.LAYOUT, self.layouts, name)

    def aid(self, name: str) -> RecoveryAid:
        """The recovery aid called ``name``. Raises UsageError, or PluginError if its plugin has a problem."""
        return self._named(Kind.RECOVERY_AID, self.aids, name)

    def encoding(self, text: str) -> Encoding:
        """The encoding for ``store`` or ``zstd:3``. Raises UsageError, or PluginError if its plugin has a problem."""
        name, colon, argument = text.partition(":")
        found = self._named(Kind.ENCODING, self.encodings, name)
        return found.configured(argument) if colon else found

    def report(self) -> dict[str, Any]:
        """All of ``inpart plugins --json``: plain lists, dictionaries, texts and integers."""
        return {
            "plugins": [
                _plain(plugin.source)
                | {"providers": [dict(vars(provider), kind=provider.kind.value) for provider in plugin.providers]}
                for plugin in self.loaded
            ],
            "problems": [
                _plain(problem.source)
                | {
                    "what": problem.what.value,
                    "detail": problem.detail,
                    "kind": problem.kind.value if problem.kind else None,
                    "name": problem.name or None,
                }
                for problem in self.problems
            ],
            "disabled": [_plain(source) for source in self.disabled],
        }

    def _named(self, kind: Kind, providers: Sequence[P], name: str) -> P:
        for provider in providers:
            if provider.name == name:
                return provider
        known = [problem for problem in self.problems if problem.name == name and problem.kind is kind]
        if known:
            reasons = "; ".join(f"{problem.source}: {problem.detail}" for problem in known)
            raise PluginError(f"the {kind} {name!r} cannot be used: {reasons}", hint="`inpart plugins` shows all")
        available = ", ".join(sorted(provider.name for provider in providers)) or "none"
        raise UsageError(f"there is no {kind} {name!r}; available: {available}", hint=self._why_missing(kind))

    def _why_missing(self, kind: Kind) -> str:
        """What may be the reason that a provider of ``kind`` is not there."""
        failed = [
            f"{problem.source} has a problem: {problem.detail}"
            for problem in self.problems
            if not problem.name and problem.kind in {None, kind}
        ]
        off = [f"{source} is disabled in the configuration" for source in self.disabled]
        return "; ".join(failed + off) or "install the plugin that has it; `inpart plugins` shows what is there"


def _plain(source: Source) -> dict[str, Any]:
    return dict(source._asdict())
