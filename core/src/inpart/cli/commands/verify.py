"""``inpart verify``: the file system, the tables of contents, every byte of the images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from inpart.cli.command import Device, Image, Run
from inpart.cli.command import command as _command
from inpart.cli.findings import SHOWN, finding_lines
from inpart.cli.output import printable
from inpart.contracts import Severity
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
    everything: Annotated[
        bool, typer.Option("--all", help="Print every finding, not only the first of each kind; --json has them all.")
    ] = False,
) -> None:
    """Check the file system or the images.

    Changes nothing; the exit code is 13 if something needs mending.
    """
    report = verify(run.session(), device, image, level)
    run.show(report, _text(report, level, everything=everything))
    if not report.ok:
        raise typer.Exit(ExitCode.INTEGRITY)


def _text(report: VerifyReport, level: str, *, everything: bool) -> Iterator[str]:
    yield from finding_lines(report.findings, len(report.findings) if everything else SHOWN)
    checked = f" (images: {', '.join(map(printable, report.checked))})" if report.checked else ""
    yield f"ok{checked}" if report.ok else f"not ok: {len(report.findings):,} findings{checked}"
    if level == "fs" and not report.ok:
        yield "what can be done: check it with its own tools, or `inpart restore` an image of it"
    elif any(finding.code.startswith("image.") and finding.severity is Severity.ERROR for finding in report.findings):
        yield "what can be done: `inpart restore --allow-incomplete` brings back what is left of a damaged image"
