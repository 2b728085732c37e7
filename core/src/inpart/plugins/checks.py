"""Looking at what a plugin hands over before it is used: hooks, names, versions, members of a contract."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

import pluggy

from inpart.contracts import API_VERSION, Encoding, FilesystemProvider, Layout, Provider, RecoveryAid
from inpart.plugins.model import Kind, PluginProblem, Source, Trouble

OLDEST_API_VERSION = 1

_PREFIX = "inpart_"
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_MAX_ENCODING_ID = 65535
_MACHINERY = ("<frozen", *(str(Path(module).parent) for module in (__file__, pluggy.__file__, importlib.__file__)))

T = TypeVar("T")


class Contract(NamedTuple):
    """The hook of a kind of providers, and the protocol that each of them has to fulfil."""

    hook: str
    protocol: type


CONTRACTS = {
    Kind.FILESYSTEM: Contract("inpart_filesystems", FilesystemProvider),
    Kind.ENCODING: Contract("inpart_encodings", Encoding),
    Kind.LAYOUT: Contract("inpart_layouts", Layout),
    Kind.RECOVERY_AID: Contract("inpart_recovery_aids", RecoveryAid),
}


@dataclass(frozen=True)
class Failure:
    """What foreign code raised, as a sentence with the place."""

    detail: str


def attempt(call: Callable[[], T]) -> T | Failure:
    """Run foreign code, which may raise anything; even a ``sys.exit`` in a plugin must not stop a restore."""
    try:
        return call()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what a plugin raises is recorded, never passed on
        return Failure(f"{type(error).__name__}: {error}{_place(error)}")


def flaw(source: Source, kind: Kind, provider: Any) -> PluginProblem | None:
    """What keeps a provider from being used, looked at before anything else is done with it."""
    missing = [member for member in _members(Provider) if not hasattr(provider, member)]
    if missing:
        detail = f"a provider of type {type(provider).__name__} lacks {', '.join(missing)}"
        return PluginProblem(source, Trouble.BAD_PROVIDER, detail, kind)
    name, version = provider.name, provider.api_version
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        detail = f"the name {name!r} is not made of lower-case letters, digits, - and _"
        return PluginProblem(source, Trouble.BAD_PROVIDER, detail, kind)
    if not isinstance(version, int) or not OLDEST_API_VERSION <= version <= API_VERSION:
        detail = f"written for API version {version!r}; this inpart knows {OLDEST_API_VERSION} to {API_VERSION}"
        return PluginProblem(source, Trouble.API_VERSION, detail, kind, name)
    flaws = [f"{member} is missing" for member in _members(CONTRACTS[kind].protocol) if not hasattr(provider, member)]
    flaws += [f"{member} cannot be called" for member in _methods(kind) if not callable(getattr(provider, member, len))]
    if not isinstance(provider.summary, str):
        flaws.append("summary is not a text")
    if kind is Kind.ENCODING and not _is_encoding_id(getattr(provider, "encoding_id", 1)):
        flaws.append(f"encoding_id is not a number from 1 to {_MAX_ENCODING_ID}")
    return PluginProblem(source, Trouble.BAD_PROVIDER, ", ".join(flaws), kind, name) if flaws else None


def useless_hooks(manager: pluggy.PluginManager, plugin: object) -> list[str]:
    """Functions that look like hooks and are none: unknown names, or the marker forgotten.

    pluggy's ``check_pending`` finds only the first of the former, and none of the latter.
    """
    callers = manager.get_hookcallers(plugin) or []
    unknown = [
        caller.name
        for caller in callers
        if not caller.has_spec() and not all(implementation.optionalhook for implementation in caller.get_hookimpls())
    ]
    marked = {caller.name for caller in callers}
    namespace = getattr(plugin, "__dict__", {})
    functions = {name for name, value in namespace.items() if isinstance(value, FunctionType)}
    return unknown + sorted(name for name in functions - marked if name.startswith(_PREFIX))


def hook_advice(name: str) -> str:
    """What to tell the author of a useless hook."""
    hooks = [contract.hook for contract in CONTRACTS.values()]
    if name in hooks:
        return f"{name} lacks the decorator inpart.hookspecs.hookimpl and is never called"
    return f"there is no hook {name}; the hooks are {', '.join(hooks)}"


def _place(error: BaseException) -> str:
    """The innermost line of the plugin's own source that an error passed."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(_MACHINERY):
            place = f" ({file}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _members(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


def _methods(kind: Kind) -> list[str]:
    return [name for name, value in vars(CONTRACTS[kind].protocol).items() if isinstance(value, FunctionType)]


def _is_encoding_id(value: object) -> bool:
    return isinstance(value, int) and 1 <= value <= _MAX_ENCODING_ID
