"""``inpart list``: the images in a partition."""

from __future__ import annotations

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.images import image_table
from inpart.operations.images import list_images


@_command()
def command(run: Run, device: Device) -> None:
    """List the images in a partition."""
    found = list_images(run.session(), device)
    for finding in found.findings:
        run.warn(finding)
    if found.unfinished:
        run.warn(found.unfinished)
    run.show({"images": found.images, "unfinished": found.unfinished}, image_table(found))
