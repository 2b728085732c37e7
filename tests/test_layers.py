"""House limits: what imports what, and how large modules and functions may be, for the core and every plugin."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path for folder in ("core/src", "plugins/*/src", "examples/*/src") for path in ROOT.glob(f"{folder}/**/*.py")
)
PLUGINS = sorted(path.name for path in ROOT.glob("plugins/*/src/inpart_*"))
MODULE_LINES = 400
FUNCTION_LINES = 50
CATCH_ALL = {"core/src/inpart/plugins/guard.py", "core/src/inpart/cli/app.py"}
"""Where foreign code is run, and where a bug becomes a message."""


@cache
def each() -> list[tuple[str, ast.Module, ast.AST]]:
    """(path, module, node) for every node that the rules speak of, in every module."""
    kinds = (ast.Module, ast.stmt, ast.ExceptHandler)
    modules = [(str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in SOURCES]
    return [(path, module, node) for path, module in modules for node in ast.walk(module) if isinstance(node, kinds)]


def test_there_are_sources() -> None:
    assert len(SOURCES) > 100
    assert PLUGINS


def test_a_module_opens_with_a_sentence() -> None:
    silent = []
    for path, module, node in each():
        if node is module:
            first = (ast.get_docstring(module) or "").split("\n\n")[0].rstrip()
            silent += [] if first.endswith((".", "?", ":")) else [path]
    assert not silent


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert not {path: length for path, length in lengths.items() if length > MODULE_LINES}


def test_functions_are_short() -> None:
    long = {}
    for path, _, node in each():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            long |= {f"{path}: {node.name}": length} if length > FUNCTION_LINES else {}
    assert not long


def test_errors_are_caught_by_name() -> None:
    """What is caught and raised again is not caught; the places in ``CATCH_ALL`` say why they catch all."""
    broad = set()
    for path, _, node in each():
        if isinstance(node, ast.ExceptHandler):
            caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {"all"}
            raised = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
            if caught & {"all", "Exception", "BaseException"} and not raised:
                broad.add(path)
    assert broad == CATCH_ALL


def test_imports_are_absolute_named_and_not_across_plugins() -> None:
    wrong = []
    for path, _, node in each():
        own = Path(path).parts[Path(path).parts.index("src") + 1]
        if isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
            wrong += [path] if node.level or "*" in [alias.name for alias in node.names] else []
        else:
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        tops = {name.split(".")[0] for name in imported}
        wrong += [f"{path}: {top}" for top in tops if top.startswith("inpart_") and top != own]
    assert not wrong


def test_the_import_contracts_know_every_plugin() -> None:
    """``make lint`` runs them; here it is only seen that no plugin was forgotten."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert sorted(settings["root_packages"]) == sorted(["inpart", *PLUGINS])
    by_type = {contract["name"]: contract for contract in settings["contracts"]}
    for name, key in (
        ("Plugins know only the public names of the core, and never each other", "source_modules"),
        ("The core knows no plugin", "forbidden_modules"),
        ("No plugin knows another", "modules"),
    ):
        assert sorted(by_type[name][key]) == PLUGINS, name
    rows = by_type["A module of the core imports only from rows above its own"]
    assert rows["exhaustive"]


def test_every_distribution_stands_alone() -> None:
    for folder in sorted(ROOT.glob("plugins/*")):
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        wanted = [text for text in project["dependencies"] if text.startswith("inpart")]
        assert wanted == ["inpart>=0.1,<2"], f"{folder.name}: {wanted}"
        assert (folder / "README.md").read_text().strip(), folder.name
        assert list(folder.glob("tests/test_*.py")), f"{folder.name} has no tests"
        assert project["entry-points"]["inpart"], f"{folder.name} has no entry point"


def test_plugins_write_down_their_api_version() -> None:
    """The constant would let an old plugin say of itself that it knows what a newer core asks for."""
    asking = []
    for path, _, node in each():
        if isinstance(node, ast.ImportFrom) and ("/null/" in path or not path.startswith("core/")):
            asking += [path] if "API_VERSION" in [alias.name for alias in node.names] else []
    assert not asking
