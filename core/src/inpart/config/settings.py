"""The settings as models, merged from command line, environment, file and defaults, each value with its source."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from inpart.config.devices import fits
from inpart.config.sources import OTHER_VARIABLES, PREFIX, Given
from inpart.contracts import LayoutOptions
from inpart.errors import UsageError
from inpart.operations.session import Policy
from inpart.units import parse_size

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_KIB = 1024
DEVICE = "device"
DEVICE_TABLES = ("layout", "encoding", "aids", "policy")
"""What may be another for some devices."""


def _size(value: object) -> object:
    """Sizes may be written with a unit; anything else is left for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return parse_size(value)
    except UsageError as error:
        raise ValueError(error.message) from error


Size = Annotated[int, BeforeValidator(_size)]
Verify = Literal["none", "stored", "full"]


class _Table(BaseModel):
    """A table of the file: frozen, no unknown keys, no conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LayoutTable(_Table):
    """``[layout]``: how images lie in the partition; sizes in bytes or with a unit."""

    name: str = "contiguous"
    segment_size: Size = Field(default=LayoutOptions.segment_size, ge=64 * _KIB, le=1 << 40)
    file_limit: Size = Field(default=LayoutOptions.file_limit, ge=64 * _KIB, le=1 << 50)
    block_size: Size = Field(default=LayoutOptions.block_size, ge=512, le=64 * _KIB)


class EncodingTable(_Table):
    """``[encoding]``: how frames are packed."""

    default: str = "zstd:3"


class AidsTable(_Table):
    """``[aids]``: recovery aids to keep up to date, each written as ``name:target``."""

    use: tuple[str, ...] = Field(default=(), strict=False)


class PolicyTable(_Table):
    """``[policy]``: what create leaves to the user, what is read back after writing, what restore keeps."""

    min_free: Size | None = Field(default=None, ge=0)
    verify: Verify = "stored"
    retain: bool = True


class PluginsTable(_Table):
    """``[plugins]``: entry points or distributions that are not loaded."""

    disabled: tuple[str, ...] = Field(default=(), strict=False)


class Settings(_Table):
    """The whole configuration."""

    layout: LayoutTable = LayoutTable()
    encoding: EncodingTable = EncodingTable()
    aids: AidsTable = AidsTable()
    policy: PolicyTable = PolicyTable()
    plugins: PluginsTable = PluginsTable()

    def as_policy(self) -> Policy:
        """The part that operations are given."""
        return Policy(
            layout=self.layout.name,
            options=LayoutOptions(self.layout.segment_size, self.layout.file_limit, self.layout.block_size),
            encoding=self.encoding.default,
            min_free=self.policy.min_free,
            verify=self.policy.verify,
            aids=self.aids.use,
        )


@dataclass(frozen=True)
class Value:
    """A value that some source gives to ``table.key``, before it is checked."""

    table: str
    key: str
    value: object
    source: str

    @property
    def place(self) -> str:
        """Where to look for it, for messages."""
        return f"{self.source}: [{self.table}] {self.key}"


@dataclass(frozen=True)
class Merged:
    """Checked settings; ``sources`` tells for ``table.key`` where the value came from."""

    settings: Settings
    sources: Mapping[str, str]

    def rows(self) -> Iterator[tuple[str, object, str]]:
        """(``table.key``, value, source) of everything that can be set."""
        for table, section in self.settings:
            for key, value in section:
                yield f"{table}.{key}", value, self.sources.get(f"{table}.{key}", "default")


def merge(given: Given) -> Merged:
    """Check and merge all sources. Raises UsageError, which names source, table and key, and the nearest right name."""
    values = [*_from_file(given), *_from_environment(given.variables), *_from_options(given.options)]
    chosen = {(value.table, value.key): value for value in values}
    sources = {f"{table}.{key}": value.source for (table, key), value in chosen.items()}
    return Merged(_validated(chosen), sources)


def _validated(chosen: Mapping[tuple[str, str], Value]) -> Settings:
    """Raises UsageError."""
    merged: dict[str, dict[str, object]] = {}
    for value in chosen.values():
        merged.setdefault(value.table, {})[value.key] = value.value
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise _refused(error, chosen) from None


def _from_file(given: Given) -> Iterator[Value]:
    """The tables of the file, then those of its ``[[device]]`` tables that fit the device, in their order."""
    if given.file is None:
        return
    path, content = given.file, _content(given.file)
    devices = content.pop(DEVICE, [])
    if not (isinstance(devices, list) and all(isinstance(device, dict) for device in devices)):
        raise UsageError(f"{path}: device is a list of tables", hint=f"write [[{DEVICE}]]")
    yield from _from_tables(str(path), content, tuple(Settings.model_fields))
    for device in devices:
        pattern = device.pop("match", None)
        if not isinstance(pattern, str):
            raise UsageError(f"{path}: a [[{DEVICE}]] has no pattern", hint='such as match = "/dev/mmcblk*"')
        values = list(_from_tables(f"{path}: device {pattern}", device, DEVICE_TABLES))
        _validated({(value.table, value.key): value for value in values})
        if fits(pattern, given.device):
            yield from values


def _content(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{path}: cannot read the configuration: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file: {error}") from error


def _from_tables(place: str, content: Mapping[str, object], known: tuple[str, ...]) -> Iterator[Value]:
    for table, section in content.items():
        if table not in known:
            raise UsageError(f"{place}: there is no table [{table}]", hint=_nearest(table, known))
        if not isinstance(section, dict):
            raise UsageError(f"{place}: {table} is a table, not a value", hint=f"write [{table}] and keys below it")
        for key, value in section.items():
            _check_key(place, table, key)
            yield Value(table, key, value, place)


def _from_environment(variables: Mapping[str, str]) -> Iterator[Value]:
    known = {f"{PREFIX}{table}_{key}".upper(): (table, key) for table, key in _keys()}
    for variable in sorted(variables):
        if variable not in known:
            message = f"environment: {variable} is no setting of inpart"
            raise UsageError(message, hint=_nearest(variable, [*known, *OTHER_VARIABLES]))
        table, key = known[variable]
        yield Value(table, key, _from_text(table, key, variables[variable]), variable)


def _from_options(options: Mapping[str, object]) -> Iterator[Value]:
    for name, value in options.items():
        table, _, key = name.partition(".")
        _check_key("command line", table, key)
        yield Value(table, key, value, "command line")


def _from_text(table: str, key: str, text: str) -> object:
    """What a variable means: lists are separated by commas, truth is true, yes, on or 1."""
    wanted = _section(table).model_fields[key].annotation
    if wanted is bool:
        return _TRUTH.get(text.strip().lower(), text)
    if tuple in {wanted, getattr(wanted, "__origin__", None)}:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _keys() -> Iterator[tuple[str, str]]:
    for table in Settings.model_fields:
        for key in _section(table).model_fields:
            yield table, key


def _section(table: str) -> type[BaseModel]:
    section = Settings.model_fields[table].annotation
    if not (isinstance(section, type) and issubclass(section, BaseModel)):
        raise TypeError(f"{table} is not a table")
    return section


def _check_key(source: str, table: str, key: str) -> None:
    names = _section(table).model_fields
    if key not in names:
        raise UsageError(f"{source}: [{table}] has no key {key!r}", hint=_nearest(key, names))


def _refused(error: ValidationError, chosen: Mapping[tuple[str, str], Value]) -> UsageError:
    """The first value that pydantic refused, as a sentence; keys and tables are right already."""
    problem = error.errors()[0]
    table, key = str(problem["loc"][0]), str(problem["loc"][1])
    given = chosen[table, key]
    reason = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
    words = _choices(table, key)
    hint = _nearest(str(given.value), words) if words else None
    return UsageError(f"{given.place}: {given.value!r} will not do: {reason}", hint=hint)


def _choices(table: str, key: str) -> tuple[str, ...]:
    return tuple(word for word in get_args(_section(table).model_fields[key].annotation) if isinstance(word, str))


def _nearest(name: str, names: Any) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {close[0]}?" if close else f"known are: {', '.join(names)}"
