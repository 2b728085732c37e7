"""``inpart resume``: finishes what a power cut left half done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.losses import losses
from inpart.cli.output import printable, size
from inpart.errors import ExitCode
from inpart.operations.resume import ResumeReport, resume


@_command(writes=True)
def command(
    run: Run,
    device: Device,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Look for unfinished work in every sector, not only in its usual places.")
    ] = False,
    discard: Annotated[
        bool,
        typer.Option("--discard", help="Forget a change that cannot be finished, as the partition was used since."),
    ] = False,
) -> None:
    """Finish a change or a restore that was cut short."""
    report = resume(run.session(writes_to=device), device, thorough=thorough, discard=discard, dry_run=run.dry_run)
    run.show(report, _text(report))
    if report.restored and not report.restored.complete:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _text(report: ResumeReport) -> Iterator[str]:
    if report.journals:
        verb = "would finish" if report.dry_run else "finished"
        yield f"{verb} {report.journals} changes; {report.sectors} sectors written"
    if report.restored:
        yield f"finished the restore of image {printable(report.restored.name)}: {size(report.restored.written_bytes)}"
        yield from losses(report.restored)
    if report.discarded:
        yield f"forgot {report.discarded} changes that could not be finished"
    if not (report.journals or report.restored or report.discarded):
        yield "nothing was unfinished"
