"""LZNT1 against its published example, against what ntfs-3g packs and reads, and on noise."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inpart.errors import FilesystemDamaged
from inpart.volume import FileVolume
from inpart_ntfs.codes import AttributeFlag, AttributeType
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.lznt1 import CHUNK, decompress
from ntfsmaker import ATTRIB, COMPRESSED, Recipe, make_partition, mounted

SONG = b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E F# G F# E D E A "
SONG += b"F# F# G A A G F# E D D E F# E D D\0"
PACKED_SONG = bytes.fromhex(
    "38b08846232000204720410010a24701a045204400084501507900c0452005241388"
    "05b4024a44ef0358028c091601484500be009e000401189000"
)
"""Example 3.3 of [MS-XCA]."""


def test_the_published_example() -> None:
    assert decompress(PACKED_SONG, len(SONG)) == SONG
    assert decompress(PACKED_SONG, 5000) == SONG.ljust(5000, b"\0")
    assert decompress(PACKED_SONG, 10) == SONG[:10]


def test_plain_chunks_and_the_end() -> None:
    noise = random.Random(1).randbytes(CHUNK)
    plain = (0x3000 | CHUNK - 1).to_bytes(2, "little") + noise
    assert decompress(plain + PACKED_SONG, 2 * CHUNK) == noise + SONG.ljust(CHUNK, b"\0")
    assert decompress(plain + bytes(2) + PACKED_SONG, 2 * CHUNK) == noise + bytes(CHUNK)
    assert decompress(b"", 100) == bytes(100)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xbf" + bytes(10), "beyond the end"),
        (b"\x02\xb0\x01\x00\x00", "can be none"),
        (b"\x03\xb0\x02a\xff\xff", "before its chunk"),
        (b"\x02\xb0\x02a\x00", "cut off"),
    ],
)
def test_damage_has_a_name(data: bytes, message: str) -> None:
    with pytest.raises(FilesystemDamaged, match=message):
        decompress(data, 65536)


def test_a_chunk_that_holds_too_much() -> None:
    """A byte and a back reference that repeats it 4098 times: more than a chunk may hold."""
    with pytest.raises(FilesystemDamaged, match="4096"):
        decompress(b"\x03\xb0\x02a\xff\x0f", 65536)


@given(st.binary(max_size=3000), st.integers(0, 70_000))
def test_noise(data: bytes, size: int) -> None:
    with suppress(FilesystemDamaged):
        assert len(decompress(data, size)) == size


@pytest.mark.parametrize("cluster", [512, 1024, 2048, 4096])
def test_what_ntfs3g_packs(tmp_path: Path, cluster: int) -> None:
    """Contents of every compressibility, whole and in parts, at every alignment to units and chunks."""
    path = make_partition(tmp_path / "packed.img", Recipe("packed", cluster, size=16 << 20))
    chance = random.Random(cluster)
    unit = 16 * cluster
    files = {
        "empty": b"",
        "text": b"".join(b"%d green bottles\n" % number for number in range(20_000)),
        "noise": chance.randbytes(3 * unit + 1),
        "zeros": bytes(4 * unit + 5),
        "one byte": b"a" * (2 * unit),
        "few letters": bytes(chance.choices(b"abcd    ", k=5 * unit - 3)),
        "mixed": b"".join(chance.choice([bytes(unit), chance.randbytes(unit), b"ab" * (unit // 2)]) for _ in range(12)),
        "near noise": b"".join(chance.randbytes(60) + b"same" * 2 for _ in range(3000)),
        "exact": b"0123456789abcdef" * (unit // 16),
    }
    with mounted(path, "compression") as root:
        folder = root / "packed"
        folder.mkdir()
        os.setxattr(folder, ATTRIB, COMPRESSED)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    filesystem = NtfsFilesystem(FileVolume(path))
    packed = 0
    for name, content in files.items():
        file = f"/packed/{name}"
        assert b"".join(filesystem.read(file)) == content, name
        for _ in range(12):
            start, length = chance.randrange(len(content) + 1), chance.randrange(3 * unit)
            assert b"".join(filesystem.read(file, start, length)) == content[start : start + length], (name, start)
        stream = filesystem.mft.assembled(filesystem.stat(file).record).stream(AttributeType.DATA)
        assert stream is not None
        assert not content or stream.first.flags & AttributeFlag.COMPRESSION_MASK
        packed += filesystem.runs(file).extents().total
        assert all(len(piece) <= 1 << 20 for piece in filesystem.read(file))
    assert packed < sum(map(len, files.values()))
