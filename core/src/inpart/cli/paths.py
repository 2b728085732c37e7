"""``DEVICE [IMAGE] [PATH]...``: what the commands that look at files share."""

from __future__ import annotations

from typing import Annotated

import typer

from inpart.errors import UsageError

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGE|PATH",
        help="An image, by name or id, 'latest' or 'factory'; and paths, which begin with /.",
        show_default=False,
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="PATTERN", help="Only what fits; with / compared with the whole path."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="Leave out what fits."),
]


def split_words(words: list[str] | None) -> tuple[str | None, list[str]]:
    """The image, if one is named, and the paths. Raises UsageError."""
    image = words[0] if words and not words[0].startswith("/") else None
    paths = (words or [])[1 if image else 0 :]
    for path in paths:
        if not path.startswith("/"):
            raise UsageError(f"{path!r} is not a path inside the file system", hint="paths begin with /")
    return image, paths
