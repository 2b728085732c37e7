"""Discovery: what is installed is found, and a broken plugin is recorded and never stops another one."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from inpart.errors import PluginError, UsageError
from inpart.plugins import Kind, PluginProblem, Plugins, Trouble, load

Install = Callable[..., None]

GOOD = """
from inpart.hookspecs import hookimpl
from inpart.testing.null import NullAid, NullEncoding, NullFilesystemProvider, NullLayout

class Filesystem(NullFilesystemProvider):
    name = "{name}"

class Encoding(NullEncoding):
    name = "{name}"
    encoding_id = {number}

class Layout(NullLayout):
    name = "{name}"

class Aid(NullAid):
    name = "{name}"

@hookimpl
def inpart_filesystems():
    return [Filesystem()]

@hookimpl
def inpart_encodings():
    return (Encoding(),)

@hookimpl
def inpart_layouts():
    return [Layout()]

@hookimpl
def inpart_recovery_aids():
    return [Aid()]
"""

HEAD = """
from inpart.hookspecs import hookimpl
from inpart.testing.null import NullEncoding, NullFilesystemProvider, NullLayout

class Broken(NullFilesystemProvider):
    name = "broken"
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A function that puts a distribution with one module and one entry point where Python finds it."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(distribution: str, source: str | None, *, entry_point: str | None = None, attribute: str = "") -> None:
        module = distribution.replace("-", "_")
        if source is not None:
            (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[inpart]\n{entry_point or distribution} = {module}{attribute}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return put


def problems_of(plugins: Plugins, distribution: str) -> list[PluginProblem]:
    return [problem for problem in plugins.problems if problem.source.distribution == distribution]


def expect_good_ones(plugins: Plugins) -> None:
    """The built-in plugin and the one called good work, whatever else is installed."""
    assert plugins.encoding("zstd:3").name == "zstd"
    assert plugins.filesystem("good").name == "good"
    assert plugins.layout("good").name == "good"
    assert plugins.aid("good").name == "good"
    assert plugins.encoding("good:7").encode(b"\0") == b"\7\7"
    assert plugins.encodings_by_id[4000].name == "good"


def test_what_is_installed_is_found(install: Install) -> None:
    install("good", GOOD.format(name="good", number=4000), entry_point="the-good-one")
    plugins = load()
    expect_good_ones(plugins)
    (good,) = [plugin for plugin in plugins.loaded if plugin.source.distribution == "good"]
    assert str(good.source) == "the-good-one of good 1.2"
    assert {provider.kind for provider in good.providers} == set(Kind)
    assert not problems_of(plugins, "good")


@pytest.mark.parametrize(
    ("source", "what", "words"),
    [
        ("import no_such_module_anywhere", Trouble.LOAD_FAILED, "ModuleNotFoundError.*broken.py, line 1"),
        ("def f(:\n", Trouble.LOAD_FAILED, "SyntaxError"),
        ("1 / 0", Trouble.LOAD_FAILED, "ZeroDivisionError.*broken.py, line 1"),
        ("import sys\nsys.exit('bye')", Trouble.LOAD_FAILED, "SystemExit: bye"),
        (None, Trouble.LOAD_FAILED, "ModuleNotFoundError: No module named 'broken'"),
        (
            HEAD + "@hookimpl\ndef inpart_filesystem(): return [Broken()]",
            Trouble.BAD_HOOK,
            "no hook inpart_filesystem;",
        ),
        (HEAD + "def inpart_filesystems(): return [Broken()]", Trouble.BAD_HOOK, "lacks the decorator"),
        (HEAD + "@hookimpl\ndef inpart_filesystems(disk): return [Broken()]", Trouble.BAD_HOOK, "disk"),
        (HEAD + "@hookimpl\ndef inpart_filesystems(): return 1 / 0", Trouble.HOOK_FAILED, "ZeroDivisionError.*line 8"),
        (HEAD + "@hookimpl\ndef inpart_filesystems(): pass", Trouble.HOOK_FAILED, "returned None"),
        (HEAD + "@hookimpl\ndef inpart_filesystems(): return Broken()", Trouble.HOOK_FAILED, "returned Broken"),
        (HEAD + "@hookimpl\ndef inpart_filesystems(): yield Broken()", Trouble.HOOK_FAILED, "returned generator"),
        (HEAD + "@hookimpl\ndef inpart_filesystems(): return 'broken'", Trouble.HOOK_FAILED, "returned str"),
        (
            HEAD + "@hookimpl\ndef inpart_filesystems(): return [object()]",
            Trouble.BAD_PROVIDER,
            "object lacks name, api",
        ),
        (HEAD + "@hookimpl\ndef inpart_layouts(): return [Broken()]", Trouble.BAD_PROVIDER, "plan is missing"),
    ],
)
def test_broken_plugins_are_recorded(install: Install, source: str | None, what: Trouble, words: str) -> None:
    install("good", GOOD.format(name="good", number=4000))
    install("broken", source)
    plugins = load()
    expect_good_ones(plugins)
    (problem,) = problems_of(plugins, "broken")
    assert problem.what is what
    assert re.search(words, problem.detail, re.DOTALL), problem.detail
    assert "broken" not in [provider.name for provider in plugins.filesystems]


@pytest.mark.parametrize(
    ("body", "what", "words"),
    [
        ("    api_version = 2", Trouble.API_VERSION, "API version 2; this inpart knows 1 to 1"),
        ("    api_version = '1'", Trouble.API_VERSION, "API version '1'"),
        ("    name = 'Zip It'", Trouble.BAD_PROVIDER, "'Zip It'"),
        ("    name = 7", Trouble.BAD_PROVIDER, "7"),
        ("    summary = None", Trouble.BAD_PROVIDER, "summary is not a text"),
        ("    encode = None", Trouble.BAD_PROVIDER, "encode cannot be called"),
        ("    encoding_id = 0", Trouble.BAD_PROVIDER, "from 1 to 65535"),
        ("    encoding_id = 65536", Trouble.BAD_PROVIDER, "from 1 to 65535"),
        (
            "    @property\n    def name(self): raise OSError('disk on fire')",
            Trouble.BAD_PROVIDER,
            "OSError: disk on fire",
        ),
    ],
)
def test_bad_providers_leave_the_others_of_their_plugin(install: Install, body: str, what: Trouble, words: str) -> None:
    source = HEAD + f"class Bad(NullEncoding):\n    name = 'bad'\n    encoding_id = 4001\n{body}\n"
    source += "class Fine(NullEncoding):\n    name = 'fine'\n    encoding_id = 4002\n"
    install("broken", source + "@hookimpl\ndef inpart_encodings(): return [Bad(), Fine()]\n")
    plugins = load()
    (problem,) = problems_of(plugins, "broken")
    assert (problem.what, problem.kind) == (what, Kind.ENCODING)
    assert words in problem.detail
    assert plugins.encoding("fine").encoding_id == 4002
    assert 4001 not in plugins.encodings_by_id


def test_a_mistyped_hook_leaves_the_good_ones(install: Install) -> None:
    extra = (
        "\n@hookimpl\ndef inpart_layout(): return []\n@hookimpl(optionalhook=True)\ndef inpart_future(): return []\n"
    )
    install("good", GOOD.format(name="good", number=4000) + extra)
    plugins = load()
    expect_good_ones(plugins)
    assert [problem.what for problem in problems_of(plugins, "good")] == [Trouble.BAD_HOOK]


def test_duplicate_names_are_refused_on_both_sides(install: Install) -> None:
    install("one", GOOD.format(name="same", number=4001))
    install("two", GOOD.format(name="same", number=4002))
    install("good", GOOD.format(name="good", number=4000))
    plugins = load()
    expect_good_ones(plugins)
    for distribution, other in (("one", "two"), ("two", "one")):
        problems = problems_of(plugins, distribution)
        assert {problem.kind for problem in problems} == set(Kind)
        assert all(
            problem.what is Trouble.DUPLICATE and f"{other} of {other}" in problem.detail for problem in problems
        )
    with pytest.raises(PluginError, match=r"one of one 1.2.*two of two 1.2"):
        plugins.layout("same")
    assert load(disabled=["two"]).layout("same").name == "same"


def test_duplicate_encoding_numbers_are_refused(install: Install) -> None:
    install("one", GOOD.format(name="first", number=4001))
    install("two", GOOD.format(name="second", number=4001))
    plugins = load()
    assert 4001 not in plugins.encodings_by_id
    assert plugins.layout("first").name == "first"
    with pytest.raises(PluginError, match="number"):
        plugins.encoding("second")


def test_nobody_takes_the_names_of_the_core(install: Install) -> None:
    install("aaa-thief", GOOD.format(name="zstd", number=4001))
    install("number-thief", GOOD.format(name="thief", number=load().encoding("zstd").encoding_id))
    plugins = load()
    assert plugins.encoding("zstd").decode(load().encoding("zstd").encode(b"x"), 1) == b"x"
    (builtin,) = [plugin for plugin in plugins.loaded if plugin.source.distribution == "inpart"]
    assert {"store", "zstd"} <= {provider.name for provider in builtin.providers}
    assert Kind.ENCODING in {problem.kind for problem in problems_of(plugins, "aaa-thief")}
    assert Kind.ENCODING in {problem.kind for problem in problems_of(plugins, "number-thief")}


def test_equal_entry_points_of_two_distributions_both_load(install: Install) -> None:
    install("one", GOOD.format(name="one", number=4001), entry_point="plugin")
    install("two", GOOD.format(name="two", number=4002), entry_point="plugin")
    plugins = load()
    assert {"one", "two"} <= {layout.name for layout in plugins.layouts}
    assert not problems_of(plugins, "one") + problems_of(plugins, "two")


def test_disabled_plugins_are_not_even_imported(install: Install) -> None:
    install("broken", "raise SystemExit(99)", entry_point="explosive")
    for name in ("broken", "explosive"):
        plugins = load(disabled=[name])
        assert not problems_of(plugins, "broken")
        assert [source.entry_point for source in plugins.disabled] == ["explosive"]
        with pytest.raises(UsageError) as caught:
            plugins.layout("bang")
        assert "explosive of broken 1.2 is disabled" in str(caught.value.hint)


def test_only_the_hooks_that_are_needed_are_called(install: Install) -> None:
    install("slow", HEAD + "@hookimpl\ndef inpart_layouts(): raise AssertionError('called')\n")
    assert not problems_of(load(kinds=[Kind.FILESYSTEM]), "slow")
    assert problems_of(load(kinds=[Kind.LAYOUT]), "slow")


def test_missing_providers_say_what_may_help(install: Install) -> None:
    install("broken", "import no_such_module_anywhere")
    plugins = load()
    with pytest.raises(UsageError, match=r"no encoding 'brotli'; available: .*store, .*zstd") as caught:
        plugins.encoding("brotli:11")
    assert "no_such_module_anywhere" in str(caught.value.hint)
    with pytest.raises(UsageError, match="'x'"):
        plugins.encoding("zstd:x")
    with pytest.raises(UsageError, match="available: none") as nothing:
        Plugins().layout("blocks")
    assert "install the plugin" in str(nothing.value.hint)


def test_the_report_is_plain_data(install: Install) -> None:
    install("good", GOOD.format(name="good", number=4000))
    install("broken", "1 / 0")
    install("off", "")
    report = load(disabled=["off"]).report()
    assert json.loads(json.dumps(report)) == report
    assert {"distribution": "off", "version": "1.2", "entry_point": "off"} in report["disabled"]
    (good,) = [plugin for plugin in report["plugins"] if plugin["distribution"] == "good"]
    assert [(one["kind"], one["name"], one["api_version"]) for one in good["providers"]] == [
        (kind, "good", 1) for kind in ("encoding", "filesystem", "layout", "recovery-aid")
    ]
    (problem,) = [problem for problem in report["problems"] if problem["distribution"] == "broken"]
    assert (problem["what"], problem["kind"], problem["name"]) == ("load-failed", None, None)


def test_entry_points_may_name_an_object(install: Install) -> None:
    source = HEAD + "class Plugin:\n    @hookimpl\n    def inpart_filesystems(self): return [Broken()]\n"
    install("object", source + "plugin = Plugin()\nnumber = 7\n", attribute=":plugin")
    install("number", "number = 7", attribute=":number")
    plugins = load()
    assert plugins.filesystem("broken").name == "broken"
    assert not problems_of(plugins, "object")
    assert not [problem for problem in problems_of(plugins, "number") if problem.what is Trouble.LOAD_FAILED]


@pytest.mark.parametrize("content", [b"[inpart]\nno value\n", b"\xff\xfe[inpart]", b"[inpart]\nbad = not a module!\n"])
@pytest.mark.parametrize("metadata", [b"", b"Metadata-Version: 2.1\nName: mess\nVersion: 0\n", b"\xff\x00"])
def test_broken_metadata_of_any_package_stops_nobody(
    install: Install, tmp_path: Path, content: bytes, metadata: bytes
) -> None:
    install("good", GOOD.format(name="good", number=4000))
    folder = tmp_path / "mess-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_bytes(metadata)
    (folder / "entry_points.txt").write_bytes(content)
    plugins = load()
    expect_good_ones(plugins)
    problems = problems_of(plugins, "mess") + problems_of(plugins, "unknown")
    assert [problem.what for problem in problems] == [Trouble.LOAD_FAILED]


def test_of_two_installations_the_first_counts(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("good", GOOD.format(name="good", number=4000))
    older = tmp_path / "older"
    older.mkdir()
    (older / "good-1.0.dist-info").mkdir()
    (older / "good-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: Good\nVersion: 1.0\n")
    (older / "good-1.0.dist-info/entry_points.txt").write_text("[inpart]\ngood = good\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older)])
    plugins = load()
    expect_good_ones(plugins)
    assert [plugin.source.version for plugin in plugins.loaded if plugin.source.distribution == "good"] == ["1.2"]
