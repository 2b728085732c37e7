"""``inpart show``: all that is known of one image."""

from __future__ import annotations

from collections.abc import Iterator

from inpart.cli.command import Device, Image, Run
from inpart.cli.command import command as _command
from inpart.cli.output import size, table
from inpart.image import Manifest
from inpart.operations.show import ImageDetails, show_image

_SHOWN = 10


@_command()
def command(run: Run, device: Device, image: Image = None) -> None:
    """Show all that is known of an image."""
    details = show_image(run.session(), device, image)
    run.show(details, table(_rows(details)))


def _rows(details: ImageDetails) -> Iterator[tuple[str, str]]:
    manifest, row = details.manifest, details.row
    filesystem, partition = manifest.filesystem, manifest.partition
    yield "name", manifest.name
    yield "kind", manifest.kind
    yield "id", manifest.image_id
    yield "parent", manifest.parent or "-"
    yield "created", manifest.created.isoformat()
    yield "file system", f"{filesystem.kind}, label {filesystem.label or '-'}, uuid {filesystem.uuid or '-'}"
    yield "partition", f"{size(details.partition_size)} from byte {partition.disk_offset} of its disk"
    yield "data", f"{size(manifest.image_bytes)} in {details.used_extents} extents, up to byte {details.highest_used}"
    yield "stored", f"{size(details.stream_size)} with {', '.join(manifest.encodings)}"
    for name, length in details.system_areas:
        yield "system area", f"{name}, {size(length)}"
    yield from _left_out(manifest)
    if row is not None:
        yield "place", f"{row.layout}, {len(row.extents)} extents, found by {row.method}, {row.state}"
        yield "files", ", ".join(row.files) or "-"


def _left_out(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What the image does not hold; of many files the first ones by name."""
    yield from (("include", pattern) for pattern in manifest.include)
    yield from (("exclude", pattern) for pattern in manifest.exclude)
    if manifest.lacks_files:
        yield "left out", f"the content of {manifest.lacking} files, such as"
        yield from (("", path) for path in manifest.excluded[:_SHOWN])
