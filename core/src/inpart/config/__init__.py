"""Settings: command line over ``INPART_*`` variables over a TOML file over defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inpart.config.sources import gather
from inpart.operations.session import Policy


@dataclass(frozen=True)
class Configuration:
    """What the settings come to."""

    policy: Policy = field(default_factory=Policy)
    retain: bool = True
    disabled_plugins: tuple[str, ...] = ()


def load(
    *,
    file: Path | None = None,
    options: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    device: str | None = None,
) -> Configuration:
    """Merge all sources; ``options`` are command-line values by ``table.key``, None where not given.

    ``device`` is the address that the settings are for. Raises UsageError, which names source, table and key, and the
    nearest right name.
    """
    given = gather(file, options, environment, device)
    if not given:
        return Configuration()
    from inpart.config.settings import merge  # noqa: PLC0415 - pydantic takes longer to load than a probe runs

    settings = merge(given).settings
    return Configuration(settings.as_policy(), settings.policy.retain, settings.plugins.disabled)
