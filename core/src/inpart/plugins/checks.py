"""Looking at what a plugin hands over before it is used: hooks, names, versions, members of a contract."""

from __future__ import annotations

import re
from types import FunctionType
from typing import Any, NamedTuple

import pluggy

from inpart.contracts import API_VERSION, Encoding, FilesystemProvider, Layout, Provider, RecoveryAid
from inpart.plugins.model import Kind, PluginProblem, Source, Trouble

OLDEST_API_VERSION = 1

_PREFIX = "inpart_"
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_MAX_ENCODING_ID = 65535


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


def _members(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


def _methods(kind: Kind) -> list[str]:
    return [name for name, value in vars(CONTRACTS[kind].protocol).items() if isinstance(value, FunctionType)]


def _is_encoding_id(value: object) -> bool:
    return isinstance(value, int) and 1 <= value <= _MAX_ENCODING_ID
