"""The tree of an index while it is edited: against a sorted list, its nodes as they go to disk, records as they do."""

from __future__ import annotations

import random

import numpy as np
import pytest
from inpart.errors import FilesystemDamaged
from inpart_ntfs.editor.clusters import Room
from inpart_ntfs.editor.growth import empty_record
from inpart_ntfs.editor.nodes import Entry, Node, block_capacity, pack_block, pack_root, parse_block, parse_root
from inpart_ntfs.editor.pieces import END
from inpart_ntfs.editor.sealing import sealed
from inpart_ntfs.editor.tree import ROOT, Tree
from inpart_ntfs.fixups import apply_fixups
from inpart_ntfs.structs import FILE_NAME

BARE = 24
"""Bytes of a root that only leads to one node."""


def entry(name: str, reference: int = 5) -> Entry:
    head = np.zeros(1, dtype=FILE_NAME)
    head["file_name_length"] = len(name)
    return Entry(reference, head.tobytes() + name.encode("utf-16-le"))


def order(name: bytes) -> tuple[bytes, bytes]:
    text = name.decode("utf-16-le")
    return text.upper().encode("utf-16-be"), text.encode("utf-16-be")


def unreadable(number: int) -> Node:
    raise FilesystemDamaged(f"there is no block {number}")


def names(tree: Tree) -> list[str]:
    return [one.name.decode("utf-16-le") for one in tree.entries()]


def check(tree: Tree, limit: int, root_limit: int) -> None:
    """Nodes are not too large nor empty, all leaves are at one depth, and what can be reached is what is changed."""
    depths, reached = set(), set()

    def walk(number: int, depth: int) -> None:
        node = tree.node(number)
        reached.add(number)
        assert node.size <= (root_limit if number == ROOT else limit)
        assert number == ROOT or node.entries or node.children
        if not node.children:
            depths.add(depth)
        for child in node.children:
            walk(child, depth + 1)

    walk(ROOT, 0)
    assert len(depths) == 1
    assert tree.changed == reached


@pytest.mark.parametrize(("block", "root_limit", "longest"), [(4096, BARE, 90), (4096, 400, 200), (1024, BARE, 30)])
def test_random_changes_against_a_sorted_list(block: int, root_limit: int, longest: int) -> None:
    chance, limit = random.Random(block + root_limit), block_capacity(block)
    tree = Tree(Node(), unreadable, order, root_limit=root_limit, limit=limit, what="a directory")
    known: set[str] = set()
    for step in range(2400):
        if known and chance.random() < (0.3 if step < 1200 else 0.7):
            name = chance.choice(sorted(known))
            tree.remove(name.encode("utf-16-le"))
            known.remove(name)
        else:
            name = "".join(chance.choices("abcXYZé", k=chance.randrange(1, longest)))
            if name not in known:
                tree.insert(entry(name))
                known.add(name)
        if step % 200 == 0:
            assert names(tree) == sorted(known, key=lambda text: order(text.encode("utf-16-le")))
            check(tree, limit, root_limit)


def test_found_by_its_own_case_first() -> None:
    tree = Tree(Node(), unreadable, order, root_limit=4000, limit=4000, what="a directory")
    for name in ("Name", "other", "name", "zoo"):
        tree.insert(entry(name))
    for wanted, found in (("name", "name"), ("Name", "Name"), ("NAME", "Name"), ("OTHER", "other"), ("no", None)):
        one = tree.find(wanted.encode("utf-16-le"))
        assert (one.name.decode("utf-16-le") if one is not None else None) == found
    with pytest.raises(FilesystemDamaged, match="twice"):
        tree.insert(entry("name"))
    with pytest.raises(FilesystemDamaged, match="lacks"):
        tree.remove("no".encode("utf-16-le"))


def test_nodes_that_lead_in_a_circle() -> None:
    circle = Node([entry("m")], [3, 3])
    tree = Tree(circle, lambda number: Node([entry("a")]), order, root_limit=4000, limit=4000, what="a directory")
    with pytest.raises(FilesystemDamaged, match="twice to block 3"):
        names(tree)
    deep = Tree(Node([], [1]), lambda number: Node([], [1]), order, root_limit=4000, limit=4000, what="a directory")
    with pytest.raises(FilesystemDamaged, match="deeper"):
        deep.find(b"a\0")


@pytest.mark.parametrize("block", [512, 1024, 4096, 65536])
def test_blocks_are_read_as_written(block: int) -> None:
    node = Node([entry("abc", 7), entry("b" * 120, 8)], [3, 4, 9])
    raw = np.frombuffer(bytearray(pack_block(node, 24, block)), dtype=np.uint8).reshape(1, -1)
    assert apply_fixups(raw).all()
    assert parse_block(raw.tobytes(), 24, "it") == node
    with pytest.raises(FilesystemDamaged, match="VCN 25"):
        parse_block(raw.tobytes(), 25, "it")
    assert parse_root(pack_root(node, bytes(16)), "it") == node


@pytest.mark.parametrize("place", range(40, 140, 2))
def test_damaged_blocks_are_damage(place: int) -> None:
    raw = bytearray(pack_block(Node([entry("abc", 7), entry("bcd", 8)]), 0, 1024))
    raw[place : place + 2] = b"\xfe\xff"
    try:
        node = parse_block(bytes(raw), 0, "it")
    except FilesystemDamaged:
        return
    assert all(len(one.name) == 6 for one in node.entries)


FLAGS = 22


def changed(record: bytes, *places: int) -> bytes:
    raw = bytearray(record)
    for place in places:
        raw[place] ^= 0x55
    return bytes(raw)


def used(record: bytes, size: int) -> bytes:
    return record[:24] + size.to_bytes(4, "little") + record[28:]


def test_a_change_in_one_sector_keeps_its_number() -> None:
    image = changed(used(empty_record(30, 1024, (3, 1)), 1000), FLAGS)
    before, _ = sealed(bytes(1024), image, 512)
    number = before[48:50]
    for places, kept in (((300,), True), ((900,), True), ((300, 900), False)):
        raw, early = sealed(before, changed(image, *places), 512)
        assert (raw[48:50] == number) is kept
        assert early == []
        assert raw[510:512] == raw[1022:1024] == raw[48:50]
        assert apply_fixups(_row(raw)).all()
    raw, _ = sealed(before, changed(image, 300, 900), 1024)
    assert raw[48:50] == number


@pytest.mark.parametrize("before_used", [64, 1000], ids=["empty", "deleted"])
def test_what_nobody_reads_yet_is_written_earlier(before_used: int) -> None:
    image = used(empty_record(30, 1024, (3, 1)), before_used)
    before, _ = sealed(bytes(1024), image, 512)
    raw, early = sealed(before, used(changed(image, 300, 900), 1000), 512)
    assert early == [512]
    assert raw[48:50] == before[48:50]


def _row(raw: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.frombuffer(bytearray(raw), dtype=np.uint8).reshape(1, -1)


@pytest.mark.parametrize("version", [(1, 2), (3, 1)])
def test_empty_records(version: tuple[int, int]) -> None:
    raw = empty_record(77, 1024, version)
    assert raw[:4] == b"FILE"
    assert int.from_bytes(raw[4:6], "little") == (48 if version == (3, 1) else 42)
    first = int.from_bytes(raw[20:22], "little")
    assert first % 8 == 0
    assert raw[first : first + 8] == END
    assert int.from_bytes(raw[44:48], "little") == 77 or version == (1, 2)


def test_room_is_handed_out_whole_where_it_can_be() -> None:
    room = Room(np.array([[10, 2], [20, 1]]), np.array([[30, 5]]))
    assert room.take(3).tolist() == [[30, 3]]
    assert room.take(1).tolist() == [[10, 1]]
    assert room.take(0).tolist() == []
    assert room.take(3).tolist() == [[11, 1], [20, 1], [33, 1]]
    assert room.left == 1
