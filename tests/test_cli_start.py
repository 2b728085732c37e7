"""Start-up: what a command does not need is not loaded. Seconds are measured in bench/, where the machine is known."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
sys.argv[0] = "inpart"
from inpart.cli.main import main
try:
    main()
except SystemExit as left:
    assert not left.code, left.code
loaded = WORDS & set(sys.modules)
assert not loaded, loaded
"""


OTHERS = {"inpart_ntfs.filesystem", "inpart_ntfs.editor", "inpart_ext.filesystem", "inpart_ext.editor"}
"""Every plugin probes a partition; only the one whose file system it has opens it."""


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--version"], {"typer", "numpy", "pydantic", "inpart.errors"}),
        (
            ["probe", "PARTITION"],
            {*OTHERS, "zstandard", "rich", "inpart.image", "inpart.config.settings", "inpart.transaction"},
        ),
        (
            ["map", "PARTITION"],
            {*OTHERS, "zstandard", "rich", "inpart.image", "inpart.config.settings", "inpart.transaction"},
        ),
        (["plugins"], {"rich", "inpart.image", "inpart.config.settings", "inpart.transaction"}),
    ],
)
def test_only_what_is_needed_is_loaded(arguments: list[str], unneeded: set[str], tmp_path: Path) -> None:
    partition = tmp_path / "partition.img"
    subprocess.run(["mkfs.fat", "-C", partition, "4096"], check=True, capture_output=True)
    words = [str(partition) if word == "PARTITION" else word for word in arguments]
    program = PROGRAM.replace("WORDS", repr(unneeded))
    subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True, timeout=60)


INTERRUPTED = """
import os, signal, sys, threading
threading.Thread(target=threading.Event().wait).start()
class Finder:
    def find_spec(self, name, path, target=None):
        if name == WORD:
            os.kill(os.getpid(), SIGNAL)
sys.meta_path.insert(0, Finder())
from inpart.cli.main import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("module", ["inpart.cli.app", "inpart.cli.command", "numpy", "inpart.plugins.discovery"])
def test_an_interrupt_while_modules_are_loaded_is_no_traceback(module: str, number: signal.Signals) -> None:
    """Nor is a thread waited for that nobody can stop any more."""
    program = INTERRUPTED.replace("WORD", repr(module)).replace("SIGNAL", str(int(number)))
    done = subprocess.run(
        [sys.executable, "-c", program, "list", "nothing", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 130
    assert done.stderr == "inpart: interrupted\n"
    error = json.loads(done.stdout)["error"]
    assert error == {"kind": "Interrupted", "exit_code": 130, "message": "interrupted", "hint": None}


CLASS_STATEMENT = """
import os, signal, sys
class Field:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGINT)
def opened(*_, **__):
    class Opened:
        field = Field()
import inpart.operations.probe, inpart.cli.app, inpart.cli.main
inpart.operations.probe.open_target = opened
inpart.cli.main.main()
"""


def test_an_interrupt_while_a_class_is_made_is_no_bug(tmp_path: Path) -> None:
    """Python 3.11 makes a RuntimeError of it; classes are made in modules that are loaded late."""
    done = subprocess.run(
        [sys.executable, "-c", CLASS_STATEMENT, "probe", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (130, "inpart: interrupted\n")


def test_signals_that_are_ignored_stay_ignored(tmp_path: Path) -> None:
    """As below nohup."""
    program = INTERRUPTED.replace("WORD", "'inpart.cli.app'").replace("SIGNAL", "signal.SIGHUP")
    program = program.replace("threading.Thread", "signal.signal(signal.SIGHUP, signal.SIG_IGN) #")
    done = subprocess.run([sys.executable, "-c", program, "config", "show"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
