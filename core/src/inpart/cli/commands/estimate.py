"""``inpart estimate``: how large an image would be, and whether it fits."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.output import size, table
from inpart.cli.paths import Exclude, Include
from inpart.cli.policy import AllSectors, Encoding, LayoutName, MinFree, Parent, SkipSwap
from inpart.errors import ExitCode
from inpart.operations.forecast import Forecast, forecast
from inpart.operations.selection import Selection


@_command()
def command(
    run: Run,
    device: Device,
    layout: LayoutName = None,
    encoding: Encoding = None,
    min_free: MinFree = None,
    parent: Parent = None,
    include: Include = None,
    exclude: Exclude = None,
    skip_swap: SkipSwap = False,
    all_sectors: AllSectors = False,
) -> None:
    """Say how large an image would be, and whether it fits."""
    given = {"layout.name": layout, "encoding.default": encoding, "policy.min_free": min_free}
    selection = Selection(tuple(include or ()), tuple(exclude or ()), all_sectors, skip_swap)
    report = forecast(run.session(given), device, selection, parent)
    run.show(report, table(_rows(report)))
    if not report.fits:
        raise typer.Exit(ExitCode.NO_SPACE)


def _rows(report: Forecast) -> Iterator[tuple[str, str]]:
    yield "used data", size(report.image_bytes)
    yield "image", f"about {size(report.expected_bytes)}, at most {size(report.upper_bytes)}"
    yield "free", f"{size(report.free_bytes)}, longest run {size(report.longest_free_run)}"
    yield "stays free", f"at least {size(report.min_free)}"
    yield "fits", f"yes: {report.verdict}" if report.fits else f"no: {report.verdict}"
    if report.must_move:
        yield "moves first", size(report.must_move)
