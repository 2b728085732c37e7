"""``inpart probe``: what is on a partition."""

from __future__ import annotations

from collections.abc import Iterator

from inpart.cli.command import FILESYSTEMS, Device, Run
from inpart.cli.command import command as _command
from inpart.cli.output import size, table
from inpart.operations.probe import ProbeReport, probe


@_command()
def command(run: Run, device: Device) -> None:
    """Show which file system is on a partition, and its state."""
    report = probe(run.session(kinds=FILESYSTEMS), device)
    run.show(report.as_json(), table(_rows(report)))


def _rows(report: ProbeReport) -> Iterator[tuple[str, str]]:
    info = report.info
    yield "file system", info.kind
    yield "label", info.label or "-"
    yield "uuid", info.uuid or "-"
    yield "state", info.state.value
    yield "cluster size", size(info.cluster_size)
    yield "size", size(info.size)
    yield "used", size(info.used_bytes)
    yield "free", size(info.free_bytes)
    yield "partition", f"{size(report.partition_size)} from byte {report.partition_start}"
    for use in report.used_by:
        yield "in use", use
    for note in info.notes:
        yield "note", note
