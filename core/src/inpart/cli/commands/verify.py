"""``inpart verify``: the file system, the tables of contents, every byte of the images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from inpart.cli.command import Device, Image, Run
from inpart.cli.command import command as _command
from inpart.cli.output import printable
from inpart.errors import ExitCode
from inpart.operations.verify import VerifyReport, verify


@_command()
def command(
    run: Run,
    device: Device,
    image: Image = None,
    level: Annotated[
        Literal["fs", "toc", "full"],
        typer.Option(
            "--level", help="fs: the live file system; toc: tables of contents; full: every stored byte, too."
        ),
    ] = "full",
) -> None:
    """Check the file system or the images.

    Changes nothing; the exit code is 13 if something needs mending.
    """
    report = verify(run.session(), device, image, level)
    run.show(report, _text(report))
    if not report.ok:
        raise typer.Exit(ExitCode.INTEGRITY)


def _text(report: VerifyReport) -> Iterator[str]:
    for finding in report.findings:
        yield printable(f"{finding.severity.value}: {finding.where}: {finding.message} [{finding.code}]")
    checked = f" (images: {', '.join(map(printable, report.checked))})" if report.checked else ""
    yield f"ok{checked}" if report.ok else f"not ok: {len(report.findings)} findings{checked}"
