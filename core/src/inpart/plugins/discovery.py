"""Loading: installed entry points become providers or problems, and nothing in between."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

import pluggy

from inpart import hookspecs
from inpart.plugins.checks import CONTRACTS, flaw, hook_advice, useless_hooks
from inpart.plugins.guard import Failure, attempt
from inpart.plugins.model import Kind, LoadedPlugin, LoadedProvider, PluginProblem, Plugins, Source, Trouble

CORE = "inpart"
"""The distribution whose names nobody else can take."""


@dataclass(frozen=True)
class _Offer:
    """A provider that passed all checks of its own, before names are compared."""

    source: Source
    kind: Kind
    provider: Any

    def unique(self) -> Iterator[tuple[Kind, str | int]]:
        """What no other provider may have."""
        yield self.kind, self.provider.name
        if self.kind is Kind.ENCODING:
            yield self.kind, self.provider.encoding_id


def load(disabled: Collection[str] = (), kinds: Collection[Kind] = tuple(Kind)) -> Plugins:
    """Find and load the installed plugins; never raises because of a plugin.

    ``disabled`` names entry points or distributions that are not even imported. Only the hooks of ``kinds`` are
    called: a command that needs file systems alone does not wait for the rest.
    """
    found, problems = _find()
    off = tuple(source for source, _ in found if {source.entry_point, source.distribution} & set(disabled))
    imported: list[Source] = []
    offers: list[_Offer] = []
    for source, point in found:
        if source in off:
            continue
        plugin = attempt(point.load)
        if isinstance(plugin, Failure):
            problems.append(PluginProblem(source, Trouble.LOAD_FAILED, plugin.detail))
            continue
        imported.append(source)
        for result in _examine(source, plugin, kinds):
            if isinstance(result, _Offer):
                offers.append(result)
            else:
                problems.append(result)
    used, clashes = _without_duplicates(offers)
    return Plugins(
        filesystems=_of_kind(used, Kind.FILESYSTEM),
        encodings=_of_kind(used, Kind.ENCODING),
        layouts=_of_kind(used, Kind.LAYOUT),
        aids=_of_kind(used, Kind.RECOVERY_AID),
        loaded=tuple(LoadedPlugin(source, _loaded(used, source)) for source in imported),
        problems=tuple(problems + clashes),
        disabled=off,
    )


def _find() -> tuple[list[tuple[Source, EntryPoint]], list[PluginProblem]]:
    """All entry points of the group, sorted; of a distribution that is there twice the one that Python would import.

    The metadata of any package may be broken, and must not stop anybody.
    """
    found: dict[str, list[tuple[Source, EntryPoint]]] = {}
    problems = []
    for distribution in distributions():
        points = attempt(partial(_points, distribution))
        if isinstance(points, Failure):
            source = _source(distribution, "entry_points.txt")
            problems.append(PluginProblem(source, Trouble.LOAD_FAILED, points.detail))
        elif points:
            sources = [(_source(distribution, point.name), point) for point in points]
            found.setdefault(sources[0][0].distribution, sources)
    return sorted((pair for pairs in found.values() for pair in pairs), key=lambda pair: pair[0]), problems


def _points(distribution: Distribution) -> list[EntryPoint]:
    text = distribution.read_text("entry_points.txt")
    if not text or f"[{hookspecs.ENTRY_POINT_GROUP}]" not in text:
        return []
    return list(distribution.entry_points.select(group=hookspecs.ENTRY_POINT_GROUP))


def _examine(source: Source, plugin: object, kinds: Collection[Kind]) -> Iterator[_Offer | PluginProblem]:
    """Ask one imported plugin for its providers and check them."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    registered = attempt(lambda: manager.register(plugin, name=source.entry_point))
    if isinstance(registered, Failure):
        yield PluginProblem(source, Trouble.BAD_HOOK, registered.detail)
        return
    for name in useless_hooks(manager, plugin):
        yield PluginProblem(source, Trouble.BAD_HOOK, hook_advice(name))
    for kind in sorted(set(kinds)):
        caller = getattr(manager.hook, CONTRACTS[kind].hook)
        if caller.get_hookimpls():
            yield from _ask(source, kind, caller)


def _ask(source: Source, kind: Kind, caller: Callable[[], Any]) -> Iterator[_Offer | PluginProblem]:
    """Call one hook of one plugin."""
    hook = CONTRACTS[kind].hook
    results = attempt(caller)
    if isinstance(results, Failure):
        yield PluginProblem(source, Trouble.HOOK_FAILED, f"{hook} raised {results.detail}", kind)
        return
    if not results or not isinstance(results[0], list | tuple):
        returned = type(results[0]).__name__ if results else "None"
        detail = f"{hook} returned {returned}, not a list or tuple of providers"
        yield PluginProblem(source, Trouble.HOOK_FAILED, detail, kind)
        return
    for provider in results[0]:
        checked = attempt(partial(flaw, source, kind, provider))
        if isinstance(checked, Failure):
            checked = PluginProblem(source, Trouble.BAD_PROVIDER, checked.detail, kind)
        yield checked or _Offer(source, kind, provider)


def _without_duplicates(offers: Sequence[_Offer]) -> tuple[list[_Offer], list[PluginProblem]]:
    """Refuse every provider whose name, or encoding number, another one has too: inpart never guesses.

    The exception is core itself, so that no installation can take ``store`` and ``zstd`` away.
    """
    owners: dict[tuple[Kind, str | int], list[_Offer]] = {}
    for offer in offers:
        for key in offer.unique():
            owners.setdefault(key, []).append(offer)
    used, clashes = [], []
    for offer in offers:
        rivals = {other.source for key in offer.unique() for other in owners[key] if other is not offer}
        if not rivals or offer.source.distribution == CORE:
            used.append(offer)
            continue
        who = ", ".join(str(rival) for rival in sorted(rivals))
        detail = f"its name or number is also that of a provider in {who}; disable one in [plugins] disabled"
        clashes.append(PluginProblem(offer.source, Trouble.DUPLICATE, detail, offer.kind, offer.provider.name))
    return used, clashes


def _source(distribution: Distribution, entry_point: str) -> Source:
    named = attempt(lambda: (distribution.name, distribution.version))
    name, version = ("", "") if isinstance(named, Failure) else named
    return Source(_normalised(name or "unknown"), version or "", entry_point)


def _normalised(name: str) -> str:
    """The name of a distribution as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _of_kind(offers: Iterable[_Offer], kind: Kind) -> tuple[Any, ...]:
    return tuple(offer.provider for offer in offers if offer.kind is kind)


def _loaded(offers: Iterable[_Offer], source: Source) -> tuple[LoadedProvider, ...]:
    return tuple(
        LoadedProvider(offer.kind, offer.provider.name, offer.provider.api_version, offer.provider.summary)
        for offer in offers
        if offer.source == source
    )
