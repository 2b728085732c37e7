"""``inpart aid``: records outside the images that help to find them again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from inpart.cli.command import Device, Run, command
from inpart.cli.output import printable, size
from inpart.contracts import AidRecord
from inpart.errors import ExitCode
from inpart.operations.aids.upkeep import AidReport, aid_check, aid_show, aid_sync, aid_write
from inpart.units import parse_size

group = typer.Typer(help="Keep records outside the images that lead to them.")

Aids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[AID]...",
        help="KIND:TARGET, such as file:/media/stick/box.ipaid; KIND alone lives on the disk itself. "
        "Without any, those of the configuration.",
        show_default=False,
    ),
]
Create = Annotated[
    str | None,
    typer.Option("--create", metavar="SIZE", help="Make a recovery partition of that size in free space, such as 4M."),
]
Source = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="One aid, KIND:TARGET, or a device to look for them.", show_default=False),
]


@command(writes=True)
def write(run: Run, device: Device, aids: Aids = None, create: Create = None) -> None:
    """Write recovery aids for the images in a partition."""
    size_of_new = None if create is None else parse_size(create)
    session = run.session(writes_to=device)
    report = aid_write(session, device, tuple(aids or ()), create=size_of_new, dry_run=run.dry_run)
    run.show({**_value(report), "table_entry": report.table_entry}, _text(report))


@command()
def check(run: Run, device: Device, aids: Aids = None) -> None:
    """Compare recovery aids with the disk.

    Changes nothing; the exit code is 16 if one is stale or missing.
    """
    _leave(run, aid_check(run.session(), device, tuple(aids or ())))


@command(writes=True)
def sync(run: Run, device: Device, aids: Aids = None) -> None:
    """Write those recovery aids anew that are stale or missing."""
    _leave(run, aid_sync(run.session(writes_to=device), device, tuple(aids or ()), dry_run=run.dry_run))


@command()
def show(run: Run, source: Source) -> None:
    """Show what recovery aids say."""
    records = aid_show(run.session(), source)
    run.show({"records": records}, (line for record in records for line in _record(record)))


def _leave(run: Run, report: AidReport) -> None:
    run.show(_value(report), _text(report))
    if not report.in_sync:
        raise typer.Exit(ExitCode.AID_STALE)


def _value(report: AidReport) -> dict[str, object]:
    return {"in_sync": report.in_sync, "aids": report.aids, "dry_run": report.dry_run}


def _text(report: AidReport) -> Iterator[str]:
    yield from (printable(line) for line in (report.table_entry or "").splitlines())
    several = len({row.device for row in report.aids}) > 1
    for row in report.aids:
        device, written = f"{row.device} " * several, "written, " * row.written
        yield printable(f"{device}{row.aid}: {written}{row.state.value}")
        yield from (printable(f"  {reason}") for reason in row.reasons)


def _record(record: AidRecord) -> Iterator[str]:
    place = f"from byte {record.partition_start}" + (f" of disk {record.disk_signature}" * bool(record.disk_signature))
    yield printable(f"partition   {record.filesystem or 'unknown'}, {size(record.partition_size)}, {place}")
    yield printable(f"generation  {record.generation}")
    yield printable(f"stores      {', '.join(record.store_ids)}")
    yield f"tables at   {', '.join(map(str, record.places))}"
    for image in record.images:
        runs = "place left out" if "extents" in record.omitted else f"in {len(image.extents)} pieces"
        yield printable(
            f"image       {image.name} ({image.image_id[:12]}), {image.kind}, {image.created}, {image.layout}, "
            f"{size(image.stream_size)} {runs}"
        )
    for name, (start, data) in record.system_areas.items():
        yield printable(f"copy of     {name}, {len(data)} bytes from byte {start}")


group.command("write")(write)
group.command("check")(check)
group.command("sync")(sync)
group.command("show")(show)
