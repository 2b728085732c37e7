"""The entry point: answers ``--version`` at once and hands everything else to inpart.cli.app."""

from __future__ import annotations

import os
import sys

from inpart import __version__


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        sys.stdout.write(f"inpart {__version__}\n")
        return
    os.environ.setdefault(
        "OPENBLAS_NUM_THREADS", "1"
    )  # numpy would start threads for linear algebra, which is not used
    try:
        from inpart.cli.app import run  # noqa: PLC0415 - the version must not wait for typer
    except KeyboardInterrupt:
        sys.exit(_interrupted(json="--json" in arguments))
    sys.exit(run(arguments))


def _interrupted(*, json: bool) -> int:
    """What ``run`` says of Ctrl-C, for one that comes while it is still being loaded; returns the exit code."""
    sys.stderr.write("inpart: interrupted\n")
    if json:
        sys.stdout.write(
            '{"error": {"kind": "Interrupted", "exit_code": 130, "message": "interrupted", "hint": null}}\n'
        )
    return 130


if __name__ == "__main__":
    main()
