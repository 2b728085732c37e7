"""Streams of every format version that was ever released can be read for ever."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from image_samples import expected, reader_of
from inpart.extents import Extents
from inpart.image import ImageVolume
from spec_reader import read_stream

FOLDER = Path(__file__).parent / "golden"


def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_image_stream", FOLDER / "image_stream.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RECIPE = recipe()
KEYS_SINCE = {"include": [], "exclude": [], "left_out": 0}
"""What manifests have said since the golden stream was made, if nothing was left out."""


@pytest.mark.parametrize("version", ["1.0"])
def test_golden_stream(version: str) -> None:
    stream = RECIPE.from_text(FOLDER / f"image-stream-{version}.hex")
    whole = expected(RECIPE.partition(), RECIPE.USED)
    reader = reader_of(stream)
    assert ImageVolume(reader).read(0, 22_000) == whole
    assert list(reader.verify("full")) == []
    assert reader.manifest.name == "golden"
    assert reader.manifest.partition.type_code == "0c"
    assert {area.name: area.extents for area in reader.system_areas} == {
        "boot-sector": Extents([(0, 512)]),
        "fat-0": Extents([(512, 700)]),
    }
    assert reader.extra_areas == {"mbr": (0, bytes(510) + b"\x55\xaa")}
    assert read_stream(stream).partition == whole


def test_the_writer_still_writes_the_same_structures() -> None:
    """Bodies may come out shorter with another zstd; everything else is as in the golden stream."""
    old, new = read_stream(RECIPE.from_text(FOLDER / "image-stream-1.0.hex")), read_stream(RECIPE.build())
    assert old.header == new.header
    assert (old.used, old.draft | KEYS_SINCE, old.system_areas, old.extra_areas) == (
        new.used,
        new.draft,
        new.system_areas,
        new.extra_areas,
    )
    same = ("kind", "flags", "encoding", "sequence", "chunk", "count")
    for before, after in zip(old.frames, new.frames, strict=True):
        assert [before.fields[name] for name in same] == [after.fields[name] for name in same]
    for before, after in zip(old.frames[1:], new.frames[1:], strict=True):
        assert (before.fields["plain_length"], before.fields["digest"]) == (
            after.fields["plain_length"],
            after.fields["digest"],
        ), "the first frame holds the manifest, all others what it held before"
