"""Which sources say anything at all about the settings: command line, environment, file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM_FILE = Path("/etc/inpart.toml")
PREFIX = "INPART_"
OTHER_VARIABLES = ("INPART_CONFIG", "INPART_DEBUG")


@dataclass(frozen=True)
class Given:
    """What was given, not yet checked: a file, variables of the environment, options by ``table.key``.

    ``device`` is the address that the settings are for, which decides what of the file counts.
    """

    file: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    device: str | None = None

    def __bool__(self) -> bool:
        return self.file is not None or bool(self.variables) or bool(self.options)


def gather(
    file: Path | None = None,
    options: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    device: str | None = None,
) -> Given:
    """Everything that is set. The file is ``file``, else ``INPART_CONFIG``, else /etc/inpart.toml where that exists.

    ``options`` that are None were not given.
    """
    variables = os.environ if environment is None else environment
    if file is None and variables.get("INPART_CONFIG"):
        file = Path(variables["INPART_CONFIG"])
    if file is None and SYSTEM_FILE.exists():
        file = SYSTEM_FILE
    return Given(
        file=file,
        variables={name: text for name, text in variables.items() if _is_setting(name)},
        options={name: value for name, value in (options or {}).items() if value is not None},
        device=device,
    )


def _is_setting(name: str) -> bool:
    return name.startswith(PREFIX) and name not in OTHER_VARIABLES
