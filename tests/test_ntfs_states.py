"""Each unclean state of NTFS is refused by create, allowed by its own option for an image outside, and never edited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from inpart import plugins
from inpart.contracts import FilesystemEditor, State
from inpart.errors import FilesystemError, FilesystemUnclean
from inpart.operations.create import CreateOptions, create
from inpart.operations.session import Session
from inpart.volume import FileVolume
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.structs import VOLUME_INFORMATION, field_offset
from ntfsjudge import mounted
from ntfsmaker import SMALL, make_partition


def poke(path: Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def mark_dirty(path: Path) -> None:
    """Set the flag that tells Windows to run chkdsk, in the mirror as well."""
    mft = NtfsFilesystem(FileVolume(path)).mft
    record = mft.record(Number.VOLUME)
    attribute = record.find(AttributeType.VOLUME_INFORMATION)
    assert attribute is not None
    start = Number.VOLUME * mft.boot.record_size + attribute.offset + attribute.raw.index(attribute.value)
    start += field_offset(VOLUME_INFORMATION, "flags")
    poke(path, mft.stream.runs.slice(start, 1).extents().start, b"\x01")
    poke(path, mft.boot.mftmirr_lcn * mft.boot.cluster_size + start, b"\x01")


def restart_page(*, version: int, clean: bool) -> bytes:
    """A restart page of 4 KiB, sealed, with one client."""
    page = bytearray(4096)
    page[:8] = b"RSTR\x1e\0\x09\0"
    page[16:20] = page[20:24] = (4096).to_bytes(4, "little")
    page[24:26] = (48).to_bytes(2, "little")
    page[28:30] = version.to_bytes(2, "little")
    page[48:56] = (1000).to_bytes(8, "little")
    page[56:64] = b"\x01\0\xff\xff\0\0" + (b"\x02\0" if clean else b"\0\0")
    for tail in range(510, 4096, 512):
        page[tail : tail + 2] = page[30:32]
    return bytes(page)


def write_log(path: Path, *, version: int, clean: bool) -> None:
    """Put two restart pages into $LogFile."""
    areas = NtfsFilesystem(FileVolume(path)).system_areas()
    start = next(area for area in areas if area.name == "log-file").extents.start
    poke(path, start, 2 * restart_page(version=version, clean=clean))


def unclean_log(path: Path) -> None:
    write_log(path, version=1, clean=False)


def fast_startup(path: Path) -> None:
    write_log(path, version=2, clean=True)


def hibernate(path: Path) -> None:
    with mounted(path) as root:
        (root / "hiberfil.sys").write_bytes(b"HIBR" + bytes(8188))


def lose_record(path: Path) -> None:
    """The first record is in the mirror, too."""
    boot = NtfsFilesystem(FileVolume(path)).boot
    poke(path, boot.mft_lcn * boot.cluster_size, bytes(8))


CASES = [
    (mark_dirty, State.DIRTY, "was not unmounted cleanly"),
    (unclean_log, State.NEEDS_REPLAY, "a journal that was not replayed"),
    (fast_startup, State.HIBERNATED, "a hibernated system"),
    (hibernate, State.HIBERNATED, "a hibernated system"),
]


@pytest.mark.parametrize(("spoil", "state", "words"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_each_state_has_its_own_option(
    session: Session, tmp_path: Path, spoil: Callable[[Path], None], state: State, words: str
) -> None:
    path, image = make_partition(tmp_path / "p.img", SMALL), tmp_path / "image.ipi"
    spoil(path)
    before = path.read_bytes()
    for allowed in ((), tuple(set(State) - {state, State.CLEAN})):
        with pytest.raises(FilesystemUnclean, match=words) as caught:
            create(session, str(path), CreateOptions("first", to=image, allow=allowed))
        assert f"--allow-{state.value}" in str(caught.value.hint)
    create(session, str(path), CreateOptions("first", to=image, allow=(state,)))
    assert image.stat().st_size > 0
    with pytest.raises(FilesystemError):
        create(session, str(path), CreateOptions("second", allow=(state,)))
    assert path.read_bytes() == before


def test_a_clean_log_of_windows_7_is_clean(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "p.img", SMALL)
    write_log(path, version=1, clean=True)
    filesystem = NtfsFilesystem(FileVolume(path))
    assert filesystem.info.state is State.CLEAN
    provider = next(one for one in plugins.load().filesystems if one.name == "ntfs")
    assert isinstance(provider.open(FileVolume(path)), FilesystemEditor)


def test_damage_is_refused_though_errors_are_allowed(session: Session, tmp_path: Path) -> None:
    path = make_partition(tmp_path / "p.img", SMALL)
    lose_record(path)
    with pytest.raises(FilesystemUnclean, match="has errors"):
        create(session, str(path), CreateOptions("first", to=tmp_path / "image.ipi"))
    with pytest.raises(FilesystemError, match="record 0"):
        create(session, str(path), CreateOptions("first", to=tmp_path / "image.ipi", allow=(State.ERRORS,)))
