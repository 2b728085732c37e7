"""The JSON contract, progress, questions and Ctrl-C, on a real partition with real images."""

from __future__ import annotations

import base64
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inpart.cli.app import run as run_cli
from inpart.errors import ExitCode
from inpart.operations.session import QuietProgress

INPART = str(Path(sys.executable).with_name("inpart"))
ROW = {
    "id", "name", "kind", "created", "layout", "parent", "stored_bytes", "image_bytes", "extents", "state", "method",
    "base", "files",
}  # fmt: skip
RESTORED = {
    "image_id", "name", "method", "target", "image_bytes", "written_bytes", "moved_bytes", "retained", "dropped",
    "table_entry", "dry_run", "lost_bytes", "affected", "left_out", "left_out_paths", "complete",
    "aids",
}  # fmt: skip
CREATED = {
    "image_id", "name", "kind", "layout", "image_bytes", "stored_bytes", "expected_bytes", "upper_bytes", "vacated",
    "plan", "dry_run", "mode", "left_out", "extents",
}  # fmt: skip
FORECAST = {
    "image_bytes", "expected_bytes", "upper_bytes", "free_bytes", "longest_free_run", "min_free", "must_move", "fits",
    "verdict",
}  # fmt: skip
PROBED = {
    "device", "filesystem", "label", "uuid", "cluster_size", "size", "used_bytes", "free_bytes", "state", "data_start",
    "data_end", "partition_start", "partition_size", "used_by", "notes",
}  # fmt: skip
SHOWN = {
    "row", "manifest", "stream_size", "partition_size", "used_extents", "highest_used", "system_areas", "digest",
}  # fmt: skip

NOISE = 3_000_000
"""Bytes that no encoding makes smaller."""
CHUNK = 65536
"""Of so small a partition; what is nothing but zeros is not stored."""

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FAT32 partition with two images, of which neither can lend the other one what is damaged."""
    folder = tmp_path_factory.mktemp("made")
    card = folder / "card.img"
    subprocess.run(["mkfs.fat", "-F", "32", "-n", "CARD", "-C", card, "65536"], check=True, capture_output=True)
    for name, kind, seed in (("shipped", "factory", 4), ("monday", "user", 5)):
        content = np.random.default_rng(seed).integers(0, 256, NOISE, dtype=np.uint8).tobytes()
        (folder / "noise").write_bytes(content)
        subprocess.run(["mcopy", "-o", "-i", card, folder / "noise", "::/noise"], check=True)
        assert run_cli(["create", str(card), "--name", name, "--kind", kind]) == ExitCode.DONE
    return folder


@pytest.fixture
def card(made: Path, tmp_path: Path) -> str:
    return str(shutil.copy(made / "card.img", tmp_path / "card.img"))


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command with --json and return its object; the exit code must be the one expected."""

    def run(*arguments: str, code: int = ExitCode.DONE) -> Any:
        capsys.readouterr()
        assert run_cli([*arguments, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return run


def test_keys_of_what_looks_at_a_partition(call: Call, card: str) -> None:
    probed = call("probe", card)
    assert set(probed) == PROBED
    assert (probed["filesystem"], probed["label"], probed["state"]) == ("fat32", "CARD", "clean")
    assert probed["used_bytes"] + probed["free_bytes"] <= probed["size"] == 65536 * 1024
    mapped = call("map", card)
    assert (set(mapped), mapped["unit"]) == ({"unit", "filesystem", "size", "used_bytes", "used"}, 1)
    assert sum(length for _, length in mapped["used"]) == mapped["used_bytes"]
    assert set(call("estimate", card)) == FORECAST


def test_keys_of_what_looks_at_images(call: Call, card: str) -> None:
    listed = call("list", card)["images"]
    assert [row["name"] for row in listed] == ["shipped", "monday"]
    assert all(set(row) == ROW for row in listed)
    located = call("locate", card)
    assert [row["id"] for row in located["images"]] == [row["id"] for row in listed]
    assert set(located) == {"images", "tried", "findings", "unfinished"}
    shown = call("show", card, "monday")
    assert set(shown) == SHOWN
    assert shown["manifest"]["name"] == shown["row"]["name"] == "monday"
    assert call("show", card, listed[0]["id"][:8])["manifest"]["name"] == "shipped"
    verified = call("verify", card)
    assert (verified["ok"], verified["findings"], verified["checked"]) == (True, [], ["shipped", "monday"])


def test_keys_of_what_looks_at_files(call: Call, made: Path, card: str, tmp_path: Path) -> None:
    content = (made / "noise").read_bytes()
    for image in ((), ("monday",)):
        (entry,) = call("ls", card, *image, "/noise")["entries"]
        assert set(entry) == {"path", "type", "size", "mtime", "attributes", "target"}
        assert (entry["path"], entry["type"], entry["size"]) == ("/noise", "file", len(content))
        assert base64.b64decode(call("cat", card, *image, "/noise")["data"]) == content
    out = tmp_path / "out"
    extracted = call("extract", card, "monday", "--to", str(out))
    assert (extracted["files"], extracted["bytes"], extracted["paths"]) == (1, len(content), ["/noise"])
    assert (out / "noise").read_bytes() == content
    everything = call("extract", card, "--to", str(tmp_path / "live"))
    assert everything["paths"] == ["/noise"]
    again = call("extract", card, "monday", "--to", str(out), code=ExitCode.INCOMPLETE)
    assert [failed["path"] for failed in again["failed"]] == ["/noise"]


def test_keys_of_what_writes(call: Call, card: str, tmp_path: Path) -> None:
    planned = call("create", card, "--name", "tuesday", "--dry-run")
    assert (set(planned), planned["dry_run"], planned["stored_bytes"]) == (CREATED, True, 0)
    created = call("create", card, "--name", "tuesday", "--encoding", "store")
    assert (set(created), created["dry_run"]) == (CREATED, False)
    probed, unit = call("probe", card), call("probe", card)["cluster_size"]
    assert created["image_bytes"] == probed["data_start"] + -(-NOISE // unit) * unit + unit  # the root has one cluster
    most = NOISE + 6 * CHUNK  # the boot sector, what is used of each table, both ends of the file; frames and index
    assert NOISE < created["stored_bytes"] < most < created["image_bytes"] <= created["upper_bytes"]
    exported = call("export", card, "tuesday", "--to", str(tmp_path / "tuesday.ipi"))
    assert set(exported) == {"image_id", "name", "stored_bytes", "place", "dry_run"}
    assert exported["stored_bytes"] == (tmp_path / "tuesday.ipi").stat().st_size
    blank = tmp_path / "blank.img"
    subprocess.run(["mkfs.fat", "-F", "32", "-C", blank, "65536"], check=True, capture_output=True)
    imported = call("import", str(blank), str(tmp_path / "tuesday.ipi"))
    assert (imported["image_id"], set(imported)) == (created["image_id"], set(exported))
    restored = call("restore", card, "shipped")
    assert (set(restored), restored["retained"]) == (RESTORED, ["shipped", "monday", "tuesday"])
    assert set(call("resume", card)) == {"journals", "sectors", "restored", "dry_run", "discarded"}


def test_a_dry_run_writes_nothing(call: Call, card: str, tmp_path: Path) -> None:
    before = Path(card).read_bytes()
    call("create", card, "--name", "tuesday", "--dry-run")
    call("restore", card, "factory", "-n")
    call("restore", card, "factory", "--to", str(tmp_path / "other.img"), "-n")
    call("export", card, "--to", str(tmp_path / "image.ipi"), "-n")
    call("extract", card, "--to", str(tmp_path / "out"), "-n")
    call("resume", card, "-n")
    assert Path(card).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["card.img"]


def test_a_flipped_bit_is_an_integrity_failure(call: Call, card: str) -> None:
    (row,) = [row for row in call("list", card)["images"] if row["name"] == "monday"]
    start, length = row["extents"][0]
    with open(card, "r+b") as file:
        file.seek(start + length // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x10]))
    verified = call("verify", card, code=ExitCode.INTEGRITY)
    assert not verified["ok"]
    assert all(set(finding) >= {"severity", "code", "where", "message"} for finding in verified["findings"])
    assert all(isinstance(start, int) for finding in verified["findings"] for start, _ in finding.get("extents", []))
    chunk, file = verified["findings"]
    ((_, size),) = chunk["extents"]
    assert (chunk["code"], size, file["code"], file["where"]) == ("image.chunk", CHUNK, "image.file-damaged", "/noise")
    assert call("verify", card, "shipped")["ok"]
    assert call("restore", card, "monday", code=ExitCode.INTEGRITY)["error"]["exit_code"] == ExitCode.INTEGRITY
    incomplete = call("restore", card, "monday", "--allow-incomplete", code=ExitCode.INCOMPLETE)
    assert set(incomplete) == RESTORED
    assert incomplete["affected"] == ["/noise"]
    assert incomplete["lost_bytes"] == CHUNK
    whole = call("restore", card, "shipped", "--allow-incomplete")
    assert (whole["lost_bytes"], whole["affected"]) == (0, [])


def test_whole_images_in_a_wreck_are_told_from_a_whole_partition(call: Call, card: str) -> None:
    def overwrite(at: int, data: bytes) -> None:
        with open(card, "r+b") as file:
            file.seek(at)
            file.write(data)

    def codes() -> list[tuple[str, str]]:
        verified = call("verify", card)
        assert (verified["ok"], verified["checked"]) == (True, ["shipped", "monday"])
        return [(finding["severity"], finding["code"]) for finding in verified["findings"]]

    reserved, hard_error = 32 * 512, (0x0BFFFFFF).to_bytes(4, "little")
    overwrite(reserved + 4, hard_error)
    assert codes() == [("note", "filesystem.errors")]
    hint = call("repair", card, code=ExitCode.FILESYSTEM)["error"]["hint"]
    assert "inpart restore" in hint
    assert "--allow" not in hint
    assert "--allow-errors" in call("create", card, "--name", "x", code=ExitCode.FILESYSTEM)["error"]["hint"]
    overwrite(0, bytes(4 << 20))
    assert codes() == [("note", "filesystem.unreadable")]


def test_no_such_image(call: Call, card: str, made: Path, tmp_path: Path) -> None:
    for command in ("show", "verify", "restore", "ls"):
        assert call(command, card, "absent", code=ExitCode.NO_IMAGE)["error"]["kind"] == "NoImageFound"
    blank = tmp_path / "blank.img"
    subprocess.run(["mkfs.fat", "-C", blank, "4096"], check=True, capture_output=True)
    for command in ("list", "locate", "show", "restore"):
        call(command, str(blank), code=ExitCode.NO_IMAGE)


def put(card: str, folder: Path, name: str, content: bytes) -> None:
    (folder / "content").write_bytes(content)
    subprocess.run(["mcopy", "-o", "-i", card, folder / "content", f"::/{name}"], check=True)


def test_an_incremental_image_in_a_file(call: Call, card: str, tmp_path: Path) -> None:
    put(card, tmp_path, "new", os.urandom(CHUNK * 4))
    inside, parent = tmp_path / "inside.ipi", call("show", card, "monday")["manifest"]["image_id"]
    made = call("create", card, "--name", "more", "--parent", "monday", "--to", str(inside))
    manifest = call("show", str(inside))["manifest"]
    assert (manifest["image_id"], manifest["parent"]) == (made["image_id"], parent)
    verified = call("verify", str(inside))
    assert [(one["severity"], one["code"]) for one in verified["findings"]] == [("note", "image.parent-elsewhere")]
    refused = call("restore", str(inside), "--to", str(tmp_path / "other.img"), code=ExitCode.USAGE)["error"]
    assert parent[:12] in refused["message"]
    assert "inpart import" in refused["hint"]
    with inside.open("r+b") as file:
        file.seek(made["stored_bytes"] // 2)
        file.write(b"damaged")
    damaged = call("verify", str(inside), code=ExitCode.INTEGRITY)["findings"]
    assert [one["code"] for one in damaged] == ["image.parent-elsewhere", "image.chunk"]


def test_an_incremental_image_is_listed_with_what_it_needs(
    card: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    inside = str(tmp_path / "inside.ipi")
    assert run_cli(["create", card, "--name", "more", "--parent", "monday", "--to", inside]) == ExitCode.DONE
    capsys.readouterr()
    assert run_cli(["list", inside]) == ExitCode.DONE
    shown = capsys.readouterr()
    assert "holds only what differs from image" in shown.err
    assert "more" in shown.out


@pytest.mark.parametrize("command", ["create", "estimate"])
def test_nothing_to_build_on(call: Call, tmp_path: Path, command: str) -> None:
    blank = tmp_path / "blank.img"
    subprocess.run(["mkfs.fat", "-C", blank, "4096"], check=True, capture_output=True)
    name = ("--name", "new") if command == "create" else ()
    error = call(command, str(blank), *name, "--parent", "monday", code=ExitCode.NO_IMAGE)["error"]
    assert "tried: nothing" not in error["message"]
    assert "'monday'" in error["message"]
    assert "--parent" in error["hint"]


def test_what_was_left_out_makes_a_restore_incomplete(
    call: Call, card: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number in range(12):
        put(card, tmp_path, f"file{number}.tmp", b"x" * number * 1000 + b"y")
    put(card, tmp_path, "pagefile.sys", b"swap" * 5000)
    call("create", card, "--name", "some", "--exclude", "*.tmp")
    restored = call("restore", card, "some", code=ExitCode.INCOMPLETE)
    assert (restored["complete"], restored["left_out"], len(restored["left_out_paths"])) == (False, 12, 12)
    capsys.readouterr()
    assert run_cli(["restore", card, "some", "--dry-run"]) == ExitCode.INCOMPLETE
    lines = capsys.readouterr().out.splitlines()
    assert lines[-12].endswith("the content of 12 files:")
    assert lines[-11:] == [*(f"  /file{number}.tmp" for number in range(10)), "  and 2 more"]
    call("create", card, "--name", "lean", "--skip-swap")
    lean = call("restore", card, "lean")
    assert (lean["complete"], lean["left_out_paths"]) == (True, ["/pagefile.sys"])


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([INPART, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_progress_as_json_lines(card: str) -> None:
    running = process("verify", card, "--progress", "json", "--json")
    out, err = running.communicate(timeout=60)
    lines = [json.loads(line) for line in err.splitlines()]
    keys = {"type", "phase", "done", "total", "finished", "seconds", "rate", "remaining"}
    assert running.returncode == ExitCode.DONE
    assert json.loads(out)["ok"]
    assert lines
    assert all(set(line) == keys and line["type"] == "progress" for line in lines)
    assert lines[-1]["finished"]
    assert lines[-1]["done"] == lines[-1]["total"]


def test_quiet_when_piped_and_a_line_per_phase_when_asked(card: str) -> None:
    assert process("verify", card).communicate(timeout=60)[1] == ""
    assert "inpart: verifying" in process("verify", card, "--verbose").communicate(timeout=60)[1]


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """(ours, theirs): the two ends of a terminal."""
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        for handle in {ours, theirs}:
            os.close(handle)


def test_a_bar_on_a_terminal(card: str) -> None:
    with terminal() as (ours, theirs):
        done = subprocess.run([INPART, "verify", card], stderr=theirs, capture_output=False, check=False, timeout=60)
        assert done.returncode == ExitCode.DONE
        os.set_blocking(ours, False)
        assert b"verifying" in os.read(ours, 1 << 16)


@pytest.mark.parametrize(("answer", "code"), [("y\n", ExitCode.DONE), ("\n", ExitCode.INTERRUPTED)])
def test_the_question_before_a_block_device_is_written(card: str, answer: str, code: int) -> None:
    before = Path(card).read_bytes()
    made = subprocess.run(["losetup", "--find", "--show", card], capture_output=True, text=True, check=True)
    device = made.stdout.strip()
    try:
        with terminal() as (ours, theirs):
            running = process("create", device, "--name", "tuesday", stdin=theirs)
            os.write(ours, answer.encode())
            _, err = running.communicate(timeout=120)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert f"into {device}? [y/N]" in err
    assert running.returncode == code
    assert (Path(card).read_bytes() == before) == (code != ExitCode.DONE)


def large_card(folder: Path) -> tuple[str, bytes]:
    """A partition with enough on it for Ctrl-C to come in between, and what is in its file."""
    noise = np.random.default_rng(6).integers(0, 16, 32 << 20, dtype=np.uint8).tobytes()
    (folder / "noise").write_bytes(noise)
    subprocess.run(["mkfs.fat", "-F", "32", "-C", folder / "large.img", "131072"], check=True, capture_output=True)
    subprocess.run(["mcopy", "-i", folder / "large.img", folder / "noise", "::/noise"], check=True)
    return str(folder / "large.img"), noise


def interrupted(phase: str, *arguments: str, number: signal.Signals = signal.SIGINT) -> list[str]:
    """Send Ctrl-C, or another signal, as soon as a phase has begun; the lines on standard error after that."""
    running = process(*arguments, "--progress", "json")
    assert running.stderr is not None
    while f'"{phase}"' not in running.stderr.readline():
        assert running.poll() is None
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == ExitCode.INTERRUPTED
    return err.splitlines()


def assert_sound(card: str, noise: bytes) -> None:
    checked = subprocess.run(["fsck.fat", "-n", card], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert subprocess.run(["mtype", "-i", card, "::/noise"], capture_output=True, check=True).stdout == noise


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_in_a_create_leaves_no_image(tmp_path: Path, number: signal.Signals) -> None:
    card, noise = large_card(tmp_path)
    lines = interrupted("imaging", "create", card, "--name", "one", "--encoding", "zstd:12", number=number)
    assert lines[-1] == "inpart: interrupted"
    assert run_cli(["list", card]) == ExitCode.NO_IMAGE
    assert_sound(card, noise)


def test_a_restore_that_has_written_nothing_needs_no_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card, noise = large_card(tmp_path)
    assert run_cli(["create", card, "--name", "one"]) == ExitCode.DONE
    monkeypatch.setattr(QuietProgress, "phase", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    assert run_cli(["restore", card]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "inpart: interrupted\n"
    assert_sound(card, noise)


def test_ctrl_c_in_a_restore_is_resumed(tmp_path: Path) -> None:
    card, noise = large_card(tmp_path)
    assert run_cli(["create", card, "--name", "one"]) == ExitCode.DONE
    subprocess.run(["dd", "if=/dev/zero", f"of={card}", "bs=1M", "count=3", "conv=notrunc", "status=none"], check=True)
    lines = interrupted("restoring", "restore", card)
    assert lines[-2:] == [
        f"inpart: interrupted: {card} is restored in part and does not mount",
        f"inpart: hint: finish it with: inpart resume {card}",
    ]
    assert run_cli(["create", card, "--name", "two"]) == ExitCode.UNFINISHED
    assert run_cli(["resume", card]) == ExitCode.DONE
    assert_sound(card, noise)
