"""What the command line prints: names that cannot steer a terminal, columns, JSON of every kind of value, progress."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from inpart.cli import output, progress
from inpart.cli.bar import BarProgress
from inpart.cli.findings import finding_lines
from inpart.contracts import AidImage, ByteRun, Finding, Severity, bounded
from inpart.errors import ExitCode, FilesystemDamaged, UsageError
from inpart.extents import Extents
from inpart.operations.session import Progress, QuietProgress
from inpart.units import MIB


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße, 世界 🙂", "Grüße, 世界 🙂"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\u202eright to left", "\\u202eright to left"),
        ("\udcff", "\\udcff"),
    ],
)
def test_names_cannot_steer_the_terminal(text: str, shown: str) -> None:
    assert output.printable(text) == shown


def test_columns_are_aligned() -> None:
    rows = [("NAME", "SIZE"), ("a", "5 B"), ("longer\n", "12 KiB")]
    assert list(output.table(rows, right=(1,))) == ["NAME        SIZE", "a            5 B", "longer\\n  12 KiB"]


def test_every_kind_of_value_becomes_json() -> None:
    class Colour(Enum):
        RED = "red"

    @dataclass(frozen=True)
    class Record:
        when: datetime
        parts: tuple[object, ...]

    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    record = Record(when, (Colour.RED, b"\x01\xff", None, True, 1.5, Extents([(2, 5)]), {"x": Severity.ERROR}))
    assert output.plain(record) == {
        "when": "2026-01-02T03:04:05+00:00",
        "parts": ["red", "01ff", None, True, 1.5, [[2, 3]], {"x": "error"}],
    }
    model = AidImage(
        image_id="1", name="n", kind="user", created="", layout="", digest="", stream_size=3, extents=(ByteRun(1, 2),)
    )
    assert output.plain(model)["extents"] == [[1, 2]]
    assert output.plain(Finding(Severity.NOTE, "c", "w", "m"))["severity"] == "note"
    json.dumps(output.plain([record, model]))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "iso8859-1"])
def test_json_is_json_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """Backslashes as Python writes them for what lies beyond 16 bits are none of JSON's."""
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding=encoding))
    output.prepare()
    output.json_object({"path": "/Grüße 🙂 \udcff"})
    sys.stdout.flush()
    assert json.loads(written.getvalue().decode()) == {"path": "/Grüße 🙂 \udcff"}


def test_an_error_is_a_sentence_a_hint_and_with_json_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    error = UsageError("first\nsecond \x1b", hint="try this")
    assert output.ErrorReport(json=False).report(error) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "inpart: first\nsecond \\x1b\ninpart: hint: try this\n")
    assert output.ErrorReport(json=True).report(FilesystemDamaged("gone")) == ExitCode.FILESYSTEM
    assert json.loads(capsys.readouterr().out) == {
        "error": {"kind": "FilesystemDamaged", "exit_code": 15, "message": "gone", "hint": None}
    }


def test_of_many_findings_the_first_of_each_kind() -> None:
    many = [Finding(Severity.ERROR, "x.many", f"inode {number}", "is wrong") for number in range(1_300)]
    lines = list(finding_lines([*many, Finding(Severity.NOTE, "x.few", "", "is worth knowing")], 3))
    assert lines == [
        *(f"error: inode {number}: is wrong [x.many]" for number in range(3)),
        "note: is worth knowing [x.few]",
        "and 1,297 more of this kind (--all shows them) [x.many]",
    ]
    assert list(finding_lines(tuple(bounded(many)), 10))[-1].startswith("and at least 91 more of this kind")
    assert len(list(finding_lines(many, len(many)))) == len(many)


def work(shown: Progress, total: int | None) -> None:
    """Two threads that do ``MIB`` bytes each."""
    with shown.phase("working", total) as advance:
        threads = [threading.Thread(target=lambda: [advance(1024) for _ in range(1024)]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("total", [2 * MIB, None])
def test_json_lines_of_progress(capsys: pytest.CaptureFixture[str], total: int | None) -> None:
    work(progress.choose("json", quiet=True, verbose=False), total)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1]["done"] == 2 * MIB
    assert lines[-1]["finished"]
    assert lines[-1]["rate"] > 0
    assert (lines[-1]["total"], lines[-1]["remaining"]) == (total, None if total is None else 0)
    assert not any(line["finished"] for line in lines[:-1])
    assert len(lines) < 20


def test_a_line_per_phase_or_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    work(progress.choose("auto", quiet=False, verbose=True), 2 * MIB)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("inpart: working: 2.00 MiB in ")
    for kind, quiet, verbose in (("auto", False, False), ("none", False, True), ("auto", True, True)):
        assert isinstance(progress.choose(kind, quiet=quiet, verbose=verbose), QuietProgress)


def test_a_bar_counts_from_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = StringIO()
    stderr.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", stderr)
    shown = progress.choose("auto", quiet=False, verbose=False)
    assert isinstance(shown, BarProgress)
    work(shown, 2 * MIB)
    assert "working" in stderr.getvalue()


def test_work_goes_on_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    work(progress.choose("json", quiet=False, verbose=False), None)
