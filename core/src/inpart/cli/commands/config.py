"""``inpart config show``: every setting, its value, and where that came from."""

from __future__ import annotations

from typing import Annotated

import typer

from inpart.cli.command import Run, command
from inpart.cli.output import table
from inpart.config.settings import merge
from inpart.config.sources import gather

group = typer.Typer(help="Show the settings.")


@command()
def show(
    run: Run,
    device: Annotated[
        str | None,
        typer.Argument(metavar="[DEVICE]", help="Show what holds for this device or file.", show_default=False),
    ] = None,
) -> None:
    """Show every setting and where its value comes from."""
    given = gather(run.config_file, device=device)
    rows = list(merge(given).rows())
    value = {
        "file": str(given.file) if given.file else None,
        "values": [{"key": key, "value": value, "source": source} for key, value, source in rows],
    }
    run.show(value, table([("KEY", "VALUE", "SOURCE"), *((key, _text(item), source) for key, item, source in rows)]))


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(str(item) for item in value) + "]"
    return "automatic" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


group.command("show")(show)
