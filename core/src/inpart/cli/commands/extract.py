"""``inpart extract``: files and directories out of a partition, or out of an image of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.paths import Exclude, Include, Words, split_words
from inpart.errors import ExitCode
from inpart.operations.extraction import OutputTree
from inpart.operations.files import ExtractReport, extract, open_tree
from inpart.operations.selection import Selection
from inpart.units import format_size


@_command(writes=True)
def command(
    run: Run,
    device: Device,
    words: Words = None,
    *,
    to: Annotated[Path, typer.Option("--to", metavar="DIRECTORY", help="Where to put the files; made if missing.")],
    include: Include = None,
    exclude: Exclude = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Copy files out of a partition or an image.

    Without IMAGE from the partition as it is now. Times come along.
    """
    image, paths = split_words(words)
    selection = Selection(tuple(include or ()), tuple(exclude or ()))
    session = run.session()
    with open_tree(session, device, image) as tree:
        output = OutputTree(to, overwrite=overwrite, dry_run=run.dry_run)
        report = extract(session, tree, paths or ["/"], output, selection)
    run.show(_as_json(report, dry_run=run.dry_run), _text(report, to, dry_run=run.dry_run))
    if report.failed:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _as_json(report: ExtractReport, *, dry_run: bool) -> dict[str, object]:
    failed = [{"path": path, "reason": reason} for path, reason in report.failed]
    return {
        "files": report.files,
        "directories": report.directories,
        "bytes": report.bytes,
        "paths": report.paths,
        "failed": failed,
        "dry_run": dry_run,
    }


def _text(report: ExtractReport, to: Path, *, dry_run: bool) -> Iterator[str]:
    verb = "would extract" if dry_run else "extracted"
    for path, reason in report.failed:
        yield f"not extracted: {path}: {reason}"
    amount = f"{report.files} files ({format_size(report.bytes)}) and {report.directories} directories"
    yield f"{verb} {amount} to {to}"
