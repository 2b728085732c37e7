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
    from inpart.cli.app import run  # noqa: PLC0415 - the version must not wait for typer

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
