"""Images without the content of some files, on a file system with many files and with hard links."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from inpart.contracts import State
from inpart.errors import UsageError
from inpart.image import ImageReader
from inpart.operations.create import CreateOptions, create
from inpart.operations.files import open_tree
from inpart.operations.forecast import forecast
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.selection import Selection
from inpart.operations.session import Session
from inpart.operations.verify import verify
from inpart.volume import FileVolume

CONTENT = b"kept by its other name\n" * 300


def make(path: Path, files: dict[str, bytes], links: dict[str, str]) -> Path:
    """An ext4 partition with these files, and with more names for some of them."""
    source = path.with_suffix(".files")
    for name, data in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    for name, other in links.items():
        (source / name).hardlink_to(source / other)
    with path.open("wb") as disk:
        disk.truncate(64 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-F", "-N", "9000", "-d", source, path], check=True)
    return path


def test_content_with_another_name_stays(session: Session, tmp_path: Path) -> None:
    disk = make(tmp_path / "disk", {"a.tmp": CONTENT, "b.tmp": CONTENT}, {"a.txt": "a.tmp"})
    report = create(session, str(disk), CreateOptions("some", selection=Selection(exclude=("*.tmp",))))
    assert report.left_out == 1
    with open_tree(session, str(disk), "some") as tree:
        assert b"".join(tree.read("/a.txt")) == b"".join(tree.read("/a.tmp")) == CONTENT
        with pytest.raises(UsageError, match=r"/b\.tmp was left out"):
            tree.read("/b.tmp")


@pytest.mark.parametrize("every", [False, True])
def test_unclean_with_images_in_it_goes_to_a_file(session: Session, tmp_path: Path, every: bool) -> None:
    """What is too unclean to be edited is imaged as it is, images and all."""
    disk = make(tmp_path / "disk", {"a": CONTENT}, {})
    create(session, str(disk), CreateOptions("inside"))
    subprocess.run(["debugfs", "-w", "-R", "set_super_value state 0", disk], check=True, capture_output=True)
    warnings: list[str] = []
    telling = replace(session, warn=warnings.append)
    options = CreateOptions("rescue", to=tmp_path / "out.ipi", allow=(State.DIRTY,), selection=Selection((), (), every))
    create(telling, str(disk), options)
    assert any("images in it are counted as files" in warning for warning in warnings)
    forecast(telling, str(disk), Selection())
    back = tmp_path / "back"
    restore(session, str(options.to), RestoreOptions(to=str(back)))
    assert not verify(session, str(back), "inside").findings
    subprocess.run(["e2fsck", "-fn", back], check=True, capture_output=True)


def test_thousands_of_long_names_fit_into_the_image(session: Session, tmp_path: Path) -> None:
    """An index has room for 4 MiB of manifest; the names of these files are longer."""
    folder = "/".join(["d" * 200] * 3)
    names = {f"{folder}/{number:0>200}": b"x" for number in range(6000)}
    disk = make(tmp_path / "disk", names | {"keep": CONTENT}, {})
    image = tmp_path / "some.ipi"
    chosen = Selection(exclude=("d" * 200,))
    report = create(session, str(disk), CreateOptions("some", selection=chosen, to=image))
    with FileVolume(image) as stream:
        manifest = ImageReader(stream, session.plugins.encodings_by_id).manifest
    assert (manifest.left_out, manifest.exclude) == (len(names), chosen.exclude)
    assert report.left_out == len(names)
    assert {path.strip("/") for path in manifest.excluded} < names.keys()
