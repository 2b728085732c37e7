"""``inpart repair``: lost tables of contents, and files that something else moved or deleted."""

from __future__ import annotations

from collections.abc import Iterator

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.output import printable
from inpart.operations.protection import Mended, repair_stores


@_command(writes=True)
def command(run: Run, device: Device) -> None:
    """Mend the container of the images.

    Writes lost tables of contents again, and claims clusters of images that are not claimed any more.
    """
    report = repair_stores(run.session(writes_to=device), device, dry_run=run.dry_run)
    run.show(report, _text(report))


def _text(report: Mended) -> Iterator[str]:
    verb = "would mend" if report.dry_run else "mended"
    for finding in report.findings:
        yield printable(f"{verb}: {finding.where}: {finding.message}")
    for name in report.claimed:
        yield f"{verb}: /.inpart/{printable(name)} is claimed again"
    if not (report.findings or report.claimed):
        yield "nothing to mend"
