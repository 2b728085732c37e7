"""Bad input of every kind, to every command: a clear message, the right exit code, never a traceback."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest
import zstandard
from inpart.cli.app import COMMANDS
from inpart.cli.app import run as run_cli
from inpart.errors import ExitCode

INPART = str(Path(sys.executable).with_name("inpart"))

FORMS: dict[str, Callable[[str, Path], list[str]]] = {
    "probe": lambda device, _: [device],
    "map": lambda device, _: [device],
    "estimate": lambda device, _: [device],
    "create": lambda device, _: [device, "--name", "one", "--yes"],
    "list": lambda device, _: [device],
    "show": lambda device, _: [device],
    "locate": lambda device, _: [device],
    "verify": lambda device, _: [device],
    "restore": lambda device, _: [device, "--yes"],
    "ls": lambda device, _: [device],
    "cat": lambda device, _: [device, "/README.TXT"],
    "extract": lambda device, folder: [device, "--to", str(folder / "out")],
    "export": lambda device, folder: [device, "--to", str(folder / "image.ipi")],
    "import": lambda device, folder: [device, str(folder / "sound.img")],
    "delete": lambda device, _: [device, "latest", "--yes"],
    "resume": lambda device, _: [device, "--yes"],
    "repair": lambda device, _: [device, "--yes"],
    "aid write": lambda device, folder: [device, f"file:{folder}/a.ipaid", "reserved"],
    "aid check": lambda device, folder: [device, f"file:{folder}/a.ipaid"],
    "aid sync": lambda device, folder: [device, f"file:{folder}/a.ipaid"],
    "aid show": lambda device, folder: [device],
}
"""How each command that takes a DEVICE is called with one; those of groups have a space in their name."""


def disk() -> bytes:
    packed = files("inpart").joinpath("data", "demo-disk.img.zst").read_bytes()
    return zstandard.decompress(packed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strange things that people may name as a device."""
    made = tmp_path_factory.mktemp("strange")
    whole = disk()
    partition = whole[1 << 20 : 39 << 20]
    (made / "sound.img").write_bytes(partition)
    (made / "disk.img").write_bytes(whole)
    (made / "empty").touch()
    (made / "byte").write_bytes(b"x")
    (made / "text").write_text("this is not a partition\n" * 1000)
    (made / "zeros").write_bytes(bytes(1 << 20))
    (made / "truncated.img").write_bytes(partition[: len(partition) // 3])
    (made / "truncated-disk.img").write_bytes(whole[: 10 << 20])
    (made / "sector").write_bytes(partition[:512])
    (made / "odd").write_bytes(partition[:100_001])
    (made / "folder").mkdir()
    (made / "loop").symlink_to(made / "loop")
    return made


STRANGE = {
    "absent": ExitCode.USAGE,
    "folder": None,
    "loop": None,
    "empty": None,
    "byte": None,
    "text": None,
    "zeros": None,
    "sector": None,
    "odd": None,
    "truncated.img": None,
    "disk.img#9": ExitCode.USAGE,
    "disk.img#x": ExitCode.USAGE,
    "disk.img#0": ExitCode.USAGE,
    "disk.img@99999999999": ExitCode.USAGE,
    "disk.img@-1": ExitCode.USAGE,
    "disk.img@x": ExitCode.USAGE,
    "truncated-disk.img#1": None,
    "sound.img#1": ExitCode.USAGE,
    "\udcff": ExitCode.USAGE,
    "": ExitCode.USAGE,
}
"""What is named as DEVICE, and the exit code where it is the same for all commands."""


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_cli(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def assert_explained(code: int, out: str, err: str) -> None:
    assert code in set(ExitCode) - {ExitCode.DONE}
    assert "bug in inpart" not in err
    assert "Traceback" not in err
    assert err.startswith("inpart: ")
    assert "\\n" not in err
    assert "{" not in out or "error" in json.loads(out)


def test_every_command_that_takes_a_device_is_tried() -> None:
    assert {form.split()[0] for form in FORMS} == set(COMMANDS) - {"plugins", "config", "demo"}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("command", FORMS)
def test_strange_devices(capsys: pytest.CaptureFixture[str], folder: Path, command: str, name: str) -> None:
    device = str(folder / name) if name else ""
    arguments = FORMS[command](device, folder)
    code, out, err = call(capsys, *command.split(), *arguments)
    if code == ExitCode.DONE and (command == "resume" or name.startswith("truncated")):
        return  # nothing was unfinished; what is left of a file system may be readable
    assert_explained(code, out, err)
    assert STRANGE[name] in {None, code}


@pytest.mark.parametrize("command", FORMS)
def test_json_has_the_error(capsys: pytest.CaptureFixture[str], folder: Path, command: str) -> None:
    code, out, err = call(capsys, *command.split(), *FORMS[command](str(folder / "absent"), folder), "--json")
    error = json.loads(out)["error"]
    assert (code, error["exit_code"], error["kind"]) == (ExitCode.USAGE, ExitCode.USAGE, "UsageError")
    assert error["message"] in err


@pytest.mark.parametrize("command", COMMANDS)
def test_usage_errors(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, err = call(capsys, command, "--no-such-option")
    assert_explained(code, out, err)
    assert code == ExitCode.USAGE


@pytest.mark.parametrize("arguments", [("crate",), ("crate", "--json"), ("--jsn",), ("config",), ("config", "shw")])
def test_unknown_commands(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    code, out, err = call(capsys, *arguments)
    assert_explained(code, out, err)
    assert code == ExitCode.USAGE


@contextmanager
def attached(path: Path) -> Iterator[str]:
    made = subprocess.run(["losetup", "--find", "--show", path], capture_output=True, text=True, check=True)
    device = made.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def mounted(device: str, place: Path) -> Iterator[None]:
    place.mkdir()
    subprocess.run(["mount", device, place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_mounted_device_is_not_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    image = tmp_path / "mounted.img"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image, "4M"], check=True)  # any file system that the kernel mounts
    with attached(image) as device, mounted(device, tmp_path / "mnt"):
        for name in (device, str(image)):
            for command in ("create", "resume", "restore"):
                code, out, err = call(capsys, *command.split(), *FORMS[command](name, tmp_path))
                assert_explained(code, out, err)
                assert code == ExitCode.BUSY


def test_a_block_device_is_not_written_without_a_question(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "device.img"
    shutil.copy(folder / "sound.img", image)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with attached(image) as device:
        code, _, err = call(capsys, "create", device, "--name", "one")
    assert code == ExitCode.USAGE
    assert "--yes" in err
    assert image.read_bytes() == (folder / "sound.img").read_bytes()


def process(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [INPART, *arguments], capture_output=True, text=True, check=False, env=os.environ | variables, timeout=60
    )


def test_a_bug_is_one_readable_line_and_a_traceback_on_request(folder: Path) -> None:
    plugin = "import inpart.operations.probe as p, inpart.cli.app as a, sys\np.users_of = lambda _: 1 / 0\n"
    program = plugin + "sys.exit(a.run(sys.argv[1:]))"
    for extra in ((), ("--debug",)):
        done = subprocess.run(
            [sys.executable, "-c", program, "probe", str(folder / "sound.img"), *extra],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == ExitCode.FAILED
        assert "this is a bug in inpart or in a plugin: ZeroDivisionError" in done.stderr
        assert ("Traceback" in done.stderr) == bool(extra)


def test_nobody_reads_the_output(folder: Path) -> None:
    command = f"{INPART} ls -r {folder}/sound.img | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_output_is_an_error(folder: Path, unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [INPART, "probe", folder / "sound.img"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert done.returncode == ExitCode.FAILED
    assert done.stderr == b"inpart: No space left on device\n"


def test_wrong_settings_are_named(folder: Path) -> None:
    done = process("probe", str(folder / "sound.img"), INPART_LAYOUT_NAM="x")
    assert done.returncode == ExitCode.USAGE
    assert "did you mean INPART_LAYOUT_NAME?" in done.stderr


LOCKED = {
    "image": (["import", "card.img", "locked.ipi"], ExitCode.FAILED, "locked.ipi: no permission to read it"),
    "configuration": (["list", "card.img", "--config", "locked.ipi"], ExitCode.USAGE, "cannot read the configuration"),
    "directory": (["demo", "--keep", "locked"], ExitCode.USAGE, "Permission denied"),
    "folder": (["extract", "card.img", "--to", "locked/files"], ExitCode.USAGE, "cannot be made: Permission denied"),
}
"""What another user may not open: the command, its exit code, and part of what it says."""


@contextmanager
def unprivileged() -> Iterator[None]:
    """The file system sees another user than root, as whom CI may run this."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", LOCKED)
def test_what_is_locked_is_named(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    arguments, code, said = LOCKED[name]
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    shutil.copy(folder / "sound.img", "card.img")
    Path("card.img").chmod(0o666)
    Path("locked.ipi").touch(mode=0o000)
    Path("locked").mkdir(mode=0o000)
    Path("open").mkdir()
    call(capsys, *(word.replace("locked", "open") for word in arguments))  # loads what another user may not read
    with unprivileged():
        got, out, err = call(capsys, *arguments)
    assert_explained(got, out, err)
    assert code == got
    assert said in err
    Path("locked").chmod(0o700)


def test_an_image_in_a_file_is_no_partition(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    image = str(tmp_path / "one.ipi")
    assert run_cli(["create", str(folder / "sound.img"), "--name", "one", "--to", image]) == ExitCode.DONE
    capsys.readouterr()
    for command in ("probe", "map", "estimate", "create"):
        code, out, err = call(capsys, command, *FORMS[command](image, tmp_path))
        assert_explained(code, out, err)
        assert (code, err.splitlines()[0]) == (
            ExitCode.USAGE,
            f"inpart: {image} is an image in a file, not a partition",
        )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(folder: Path, closed: str) -> None:
    for device, code in (("sound.img", ExitCode.DONE), ("absent", ExitCode.USAGE)):
        command = f"{INPART} probe {folder}/{device} {closed}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "kind"), [("latest", "user"), ("latest", "factory"), ("factory", "user"), ("/x", "user")]
)
def test_a_name_that_would_mean_something_else(
    capsys: pytest.CaptureFixture[str], folder: Path, name: str, kind: str
) -> None:
    code, out, err = call(capsys, "create", str(folder / "sound.img"), "--name", name, "--kind", kind, "-n")
    assert_explained(code, out, err)
    assert code == ExitCode.USAGE


def test_verify_without_any_image(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, _, _ = call(capsys, "verify", str(folder / "zeros"))
    assert code == ExitCode.NO_IMAGE


def test_the_room_on_a_mounted_file_system_is_estimated(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    image = tmp_path / "mounted.img"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image, "8M"], check=True)
    with attached(image) as device, mounted(device, tmp_path / "mnt"):
        code, out, err = call(capsys, "estimate", device)
    assert code == ExitCode.DONE
    assert "yes: " in out
    assert err == (
        f"inpart: warning: {device}: the file system is mounted or has a journal that was not replayed; "
        "this is what holds once it is clean\n"
    )
