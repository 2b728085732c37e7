"""What a restore did not bring back, for people."""

from __future__ import annotations

from collections.abc import Iterator

from inpart.cli.output import printable, size
from inpart.operations.restore import RestoreReport

_SHOWN = 10


def losses(report: RestoreReport) -> Iterator[str]:
    """Damage with all that it hits, and files that the image was made without; of many of those the first."""
    if report.lost_bytes:
        yield f"lost: {size(report.lost_bytes)} of the image; affected:"
        yield from (f"  {printable(where)}" for where in report.affected)
    if report.left_out:
        shown = report.left_out_paths[:_SHOWN]
        count = "1 file" if report.left_out == 1 else f"{report.left_out:,} files"
        yield f"zeros, as the image was made without them: the content of {count}{':' if shown else ''}"
        yield from (f"  {printable(path)}" for path in shown)
        if shown and report.left_out > len(shown):
            yield f"  and {report.left_out - len(shown):,} more"
