"""``inpart demo``: wrecks a small disk and brings it back."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from inpart.cli.command import Run
from inpart.cli.command import command as _command
from inpart.cli.drawing import drawing
from inpart.operations.demo import Step, demo


@_command()
def command(
    run: Run,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIRECTORY", help="Leave the disk there, to try things on it.", readable=False),
    ] = None,
) -> None:
    """Wreck a small disk and bring it back.

    It is made for that; nothing else is touched, and no rights are needed.
    """
    steps: list[Step] = []

    def say(step: Step) -> None:
        steps.append(step)
        if not run.json:
            sys.stdout.write(f"{step.title}: {step.result} ({step.seconds:.2f} s)\n")
            sys.stdout.writelines(f"    {drawing(line)}\n" for line in step.picture)
            sys.stdout.flush()

    with tempfile.TemporaryDirectory(prefix="inpart-demo-") as folder:
        demo(run.session(), keep or Path(folder), say)
    run.show({"ok": True, "steps": steps}, [f"the disk is in {keep}"] if keep else [])
