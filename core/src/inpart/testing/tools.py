"""Running the tools by which file systems are made and judged, and sparse copies of what they have made."""

from __future__ import annotations

import subprocess
from pathlib import Path


def run(*command: str | Path, check: bool = True, stdin: str = "") -> str:
    """All that a tool prints, standard output first; its exit code must be 0 unless ``check`` is false."""
    done = subprocess.run(
        [str(part) for part in command], input=stdin, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0 or not check, f"{command}: {done.stderr or done.stdout}"
    return done.stdout + done.stderr


def copied(path: Path, target: Path) -> Path:
    """A sparse copy of the file ``path``."""
    run("cp", "--sparse=always", path, target)
    return target
