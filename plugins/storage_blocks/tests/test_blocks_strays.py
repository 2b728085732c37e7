"""Images that have lost all seals and descriptions come back from their data blocks; deleted ones do not."""

from __future__ import annotations

import numpy as np
import pytest
from inpart.contracts import Search, SearchMethod
from inpart.testing.damage import zero_range
from inpart.testing.layout_ground import GEOMETRIES, Ground, summary_for
from inpart.transaction import Transaction
from inpart.units import KIB
from inpart_storage_blocks.layout import BlocksLayout
from inpart_storage_blocks.store import BlocksStore
from inpart_storage_blocks.structs import HEADER, MAGIC, Kind

LAYOUT = BlocksLayout()
STREAMS = [np.random.default_rng(seed).bytes(size * KIB + 100) for seed, size in ((1, 300), (2, 500), (3, 200))]
CONTROLS = (Kind.SEAL, Kind.DESCRIPTION)


@pytest.fixture
def ground() -> Ground:
    return Ground(LAYOUT, GEOMETRIES["fragmented"])


def add(ground: Ground, number: int) -> None:
    ground.add(summary_for(number, STREAMS[number]), STREAMS[number])


def store_in(ground: Ground) -> BlocksStore:
    (store,) = LAYOUT.locate(ground.volume, Search(SearchMethod.PARTITION))
    return store


def wipe(ground: Ground, number: int | None, *kinds: Kind) -> None:
    """Zero the blocks of these kinds, of one image or of all."""
    for place in range(0, ground.volume.size, 512):
        if ground.volume.data[place : place + 8] != MAGIC:
            continue
        header = np.frombuffer(bytes(ground.volume.data[place : place + 96]), dtype=HEADER)[0]
        wanted = number is None or header["image"].tobytes() == summary_for(number, b"").image_id
        if wanted and header["kind"] in kinds:
            zero_range(ground.volume, place, place + 512)


def remove(ground: Ground, number: int) -> None:
    """Delete an image as a user does: its files are gone, its blocks stay where they are."""
    store = store_in(ground)
    tx = Transaction(ground.volume)
    change = store.remove([summary_for(number, b"").image_id], tx)
    tx.commit(store.journal())
    ground.apply(change)


def found(ground: Ground) -> dict[int, str]:
    """The state of each image, by number; all that is not partial must be readable."""
    states = {}
    for store in LAYOUT.locate(ground.volume, Search(SearchMethod.PARTITION)):
        for image in store.images:
            number = next(n for n in range(len(STREAMS)) if summary_for(n, b"").image_id == image.summary.image_id)
            states[number] = image.state
            stream = store.open(image.summary.image_id)
            if image.state != "partial":
                assert stream.size == len(STREAMS[number])
                assert stream.read(0, stream.size) == STREAMS[number]
    return states


def test_data_blocks_alone_are_the_image(ground: Ground) -> None:
    add(ground, 0)
    add(ground, 1)
    before = {image.summary.image_id: image.extents for image in store_in(ground).images}
    wipe(ground, None, *CONTROLS)
    assert found(ground) == {0: "stray", 1: "stray"}
    for image in store_in(ground).images:
        assert before[image.summary.image_id].covers(image.extents)
        assert (image.named, image.files) == (False, ())
    assert not store_in(ground).claims().claims


def test_the_files_that_own_it_prove_that_it_was_not_deleted(ground: Ground) -> None:
    add(ground, 0)
    wipe(ground, 0, *CONTROLS)
    (store,) = ground.stores(SearchMethod.CLAIMS)
    (image,) = store.images
    assert (image.state, image.files) == ("partial", tuple(ground.claims))
    assert store.claims().claims == tuple(ground.claims.values())


def test_beside_a_newer_image_that_knows_it(ground: Ground) -> None:
    add(ground, 0)
    add(ground, 1)
    wipe(ground, 0, *CONTROLS)
    assert found(ground) == {0: "stray", 1: "committed"}


def test_beside_an_older_image(ground: Ground) -> None:
    add(ground, 0)
    add(ground, 1)
    wipe(ground, 1, *CONTROLS)
    assert found(ground) == {0: "committed", 1: "stray"}


def test_a_lost_end_beside_other_images_is_garbage(ground: Ground) -> None:
    """As an interrupted create leaves it."""
    add(ground, 0)
    add(ground, 1)
    last = store_in(ground).found[1].pieces[-1]
    wipe(ground, 1, *CONTROLS)
    zero_range(ground.volume, int(last["place"]), int(last["place"] + last["count"] * last["block"]))
    assert found(ground) == {0: "committed"}
    assert "blocks.garbage" in {finding.code for finding in store_in(ground).findings}


def test_a_lost_end_of_the_only_image_is_named(ground: Ground) -> None:
    add(ground, 0)
    image = store_in(ground).found[0]
    last = int(image.pieces["place"][-1] + (image.pieces["count"][-1] - 1) * image.origin.block_size)
    wipe(ground, 0, *CONTROLS)
    zero_range(ground.volume, last, last + 512)
    (stray,) = store_in(ground).found
    assert (stray.cut, stray.facts.blocks) == (True, image.facts.blocks - 1)
    assert "blocks.cut" in {finding.code for finding in store_in(ground).findings}


def test_a_deleted_image_stays_deleted(ground: Ground) -> None:
    add(ground, 0)
    add(ground, 1)
    remove(ground, 1)
    assert found(ground) == {0: "committed"}
    remove(ground, 0)
    assert not LAYOUT.locate(ground.volume, Search(SearchMethod.PARTITION))


def test_a_deleted_image_whose_tombstones_are_lost(ground: Ground) -> None:
    """The newer image's description does not know it."""
    add(ground, 0)
    add(ground, 1)
    remove(ground, 1)
    add(ground, 2)
    wipe(ground, 1, Kind.REMOVED)
    assert found(ground) == {0: "committed", 2: "committed"}


def test_a_deleted_store_is_not_mixed_with_a_new_one(ground: Ground) -> None:
    add(ground, 0)
    remove(ground, 0)
    wipe(ground, 0, Kind.REMOVED)
    (deleted,) = store_in(ground).found
    ground.used |= deleted.path.extents()
    add(ground, 1)
    assert found(ground) == {1: "committed"}
    wipe(ground, 1, *CONTROLS)
    assert found(ground) == {0: "stray", 1: "stray"}


def test_what_a_deletion_left_that_was_given_up_is_given_back(ground: Ground) -> None:
    """The seals are broken and the files are there; with the last image the store knows of nothing else."""
    for number in range(2):
        add(ground, number)
    left: set[str] = set()
    for number in range(2):
        (store,) = ground.stores(SearchMethod.CLAIMS)
        tx = Transaction(ground.volume)
        left |= set(store.remove([summary_for(number, b"").image_id], tx).release)
        tx.commit(None)
        (store,) = ground.stores(SearchMethod.CLAIMS)
        assert set(store.repair(Transaction(ground.volume)).release) == left
        assert [finding.code for finding in store.findings] == ["blocks.abandoned-files"]
    assert (store.images, store.claims().claims) == ((), ())
    add(ground, 2)
    assert found(ground) == {2: "committed"}
