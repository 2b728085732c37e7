"""Options that several commands have for what goes into an image and where that goes."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

LayoutName = Annotated[
    str | None, typer.Option("--layout", metavar="LAYOUT", help="How the image lies in the partition; see plugins.")
]
Encoding = Annotated[str | None, typer.Option("--encoding", metavar="ENCODING", help="Such as zstd:3 or store.")]
MinFree = Annotated[
    str | None, typer.Option("--min-free", metavar="SIZE", help="What stays free for the user, such as 512M.")
]
Verify = Annotated[
    Literal["none", "stored", "full"] | None, typer.Option("--verify", help="What is read back after writing.")
]
AllSectors = Annotated[bool, typer.Option("--all-sectors", help="Store free clusters, too.")]
SkipSwap = Annotated[bool, typer.Option("--skip-swap", help="Leave out the content of swap and hibernation files.")]
Parent = Annotated[
    str | None, typer.Option("--parent", metavar="IMAGE", help="Store only what differs from this image.")
]
