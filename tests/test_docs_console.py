"""The console examples of the documents, run as they stand; and the lists in docs/CLI.md against the program."""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from inpart.cli.app import build
from inpart.cli.app import run as run_cli
from inpart.config.settings import merge
from inpart.config.sources import Given
from inpart.errors import ExitCode

ROOT = Path(__file__).parents[1]
CLI = ROOT / "docs" / "CLI.md"
COMMON = {"--json", "--progress", "--quiet", "-q", "--verbose", "-v", "--debug", "--config", "--filesystem", "--aid"}
HELP = {"--help", "-h"}
WRITING = {"--dry-run", "-n", "--yes", "-y"}


class Example(NamedTuple):
    line: int
    command: str
    expected: str


def examples(text: str) -> Iterator[Example]:
    """Each ``$ command`` of the console blocks, with the output that follows it."""
    for block in re.finditer(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        at = text.count("\n", 0, block.start(1)) + 1
        for part in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block[1], re.MULTILINE):
            yield Example(at + block[1].count("\n", 0, part.start()), part[1], part[2])


@pytest.mark.parametrize("document", ["README.md", "docs/CLI.md"])
def test_examples_do_what_the_document_says(document: str, tmp_path: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TZ": "UTC"}
    found = list(examples((ROOT / document).read_text()))
    assert found
    for example in found:
        done = subprocess.run(
            ["bash", "-c", example.command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        output = done.stdout + (f"[exit code {done.returncode}]\n" if done.returncode else "")
        same = doctest.OutputChecker().check_output(
            example.expected, output, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        )
        assert same, f"{document}, line {example.line}: $ {example.command}\n{output}"


def sections() -> dict[str, str]:
    """Command, such as ``config show``, and the text about it."""
    parts = re.split(r"^### `inpart ([a-z ]+)`$", CLI.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def options_in(text: str) -> set[str]:
    """The options that the first column of a table lists."""
    rows = re.findall(r"^\| (`-.*?) \|", text, re.MULTILINE)
    return {option for row in rows for option in re.findall(r"`(-[\w-]+)`", row)}


def parameters(command: Any) -> set[str]:
    named = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    return {option for parameter in named for option in (*parameter.opts, *parameter.secondary_opts)}


def leaves() -> dict[str, Any]:
    """Each command of the program, those of groups such as ``config show`` included."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(build()).commands.items():  # type: ignore[attr-defined]
        members = getattr(command, "commands", None)
        found |= {name: command} if members is None else {f"{name} {member}": members[member] for member in members}
    return found


def test_every_command_is_described_and_no_other() -> None:
    assert set(sections()) == set(leaves())


@pytest.mark.parametrize("name", leaves())
def test_every_option_is_described_and_no_other(name: str) -> None:
    found = parameters(leaves()[name]) - HELP
    assert found >= COMMON
    assert options_in(sections()[name]) == found - COMMON - WRITING


def test_the_common_options_are_described() -> None:
    text = CLI.read_text()
    start, end = text.index("## Options of every command"), text.index("## Exit codes")
    assert options_in(text[start:end]) == COMMON | HELP | WRITING


def test_every_exit_code_is_described() -> None:
    text = CLI.read_text()
    codes = re.findall(r"^\| (\d+) \|", text[text.index("## Exit codes") :], re.MULTILINE)
    assert [int(code) for code in codes] == sorted(ExitCode)


def test_every_setting_is_described() -> None:
    keys = [key for key, _, _ in merge(Given()).rows()]
    assert re.findall(r"^\| `(\w+\.\w+)` \|", sections()["config show"], re.MULTILINE) == keys


JSON = {
    "demo": ("--keep", "."),
    "probe": ("disk.img#1",),
    "map": ("disk.img#1",),
    "ls": ("disk.img#1",),
    "extract": ("disk.img#1", "--to", "files"),
    "estimate": ("disk.img#1",),
    "create": ("disk.img#1", "--name", "one"),
    "export": ("disk.img#1", "one", "--to", "one.ipi"),
    "list": ("disk.img#1",),
    "show": ("disk.img#1",),
    "verify": ("disk.img#1",),
    "restore": ("disk.img#1",),
    "resume": ("disk.img#1",),
    "repair": ("disk.img#1",),
    "delete": ("disk.img#1", "one"),
    "aid write": ("disk.img#1", "reserved"),
    "aid show": ("disk.img#1",),
    "plugins": (),
    "config show": (),
}
"""The commands whose object the document writes down, and a call of each, in an order in which they work."""


def outer_keys(written: str) -> set[str]:
    """The keys of an object as the document writes it, without those of the objects in it."""
    inside, count = written.strip()[1:-1], 1
    while count:
        inside, count = re.subn(r"[\[{][^\[\]{}]*[\]}]", "", inside)
    return set(re.findall(r'"(\w+)"', inside))


def test_json_has_the_keys_of_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    described = {
        name: found[1]
        for name, text in sections().items()
        if (found := re.search(r"JSON:\s+`({.*?})`", text, re.DOTALL))
    }
    assert set(described) == set(JSON)
    for name, arguments in JSON.items():
        assert run_cli([*name.split(), *arguments, "--json"]) == ExitCode.DONE
        shown = json.loads(capsys.readouterr().out)
        assert outer_keys(described[name]) == set(shown), name
