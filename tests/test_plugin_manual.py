"""docs/PLUGINS.md says of hooks, contracts, kits and the example exactly what the code says."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
from inpart import contracts, hookspecs
from inpart.plugins import CONTRACTS, OLDEST_API_VERSION
from inpart.testing.specimen import Specimen

ROOT = Path(__file__).parent.parent
MANUAL = (ROOT / "docs/PLUGINS.md").read_text()
HOOKS = [name for name in vars(hookspecs) if name.startswith("inpart_")]
KITS = (
    "kit",
    "reader_kit",
    "tree_kit",
    "editor_kit",
    "encoding_kit",
    "storing_kit",
    "layout_kit",
    "aid_kit",
    "cut_kit",
    "delete_kit",
)
CLASSES = (
    contracts.FilesystemProvider,
    contracts.Filesystem,
    contracts.FilesystemTree,
    contracts.FilesystemEditor,
    contracts.Encoding,
    contracts.Layout,
    contracts.StoreWriter,
    contracts.Store,
    contracts.RecoveryAid,
    contracts.PartitionAid,
    contracts.Edits,
)


def section(title: str) -> str:
    """The text below a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(title)}$(.*?)(?=^#+ |\Z)", MANUAL, re.MULTILINE | re.DOTALL)
    assert found, f"docs/PLUGINS.md has no section {title}"
    return found[1]


def written(function: object) -> str:
    """A signature as one would write it."""
    return re.sub(r"\(self(, )?", "(", str(inspect.signature(function)).replace("'", ""))  # type: ignore[arg-type]


def members() -> list[tuple[str, str]]:
    """(class, line) for all that a contract declares in public."""
    found = []
    for contract in CLASSES:
        for name, value in vars(contract).items():
            if name.startswith("_"):
                continue
            if isinstance(value, property):
                found.append((contract.__name__, f"{name}: {value.fget.__annotations__['return']}"))
            elif inspect.isfunction(value):
                line = f"def {name}{written(value)}".replace("str = /", 'str = "/"')
                found.append((contract.__name__, line))
    return found


def behaviours() -> list[tuple[str, str]]:
    """(number, sentence) of each test of the kits."""
    found = []
    for kit in KITS:
        module = importlib.import_module(f"inpart.testing.{kit}")
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ == module.__name__:
                tests = [value for name, value in vars(cls).items() if name.startswith("test_")]
                found += [tuple((test.__doc__ or "").split(": ", 1)) for test in tests]
    return found


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_a_section_with_its_signature(hook: str) -> None:
    function = getattr(hookspecs, hook)
    assert f"@hookimpl\ndef {hook}{written(function)}: ..." in section(hook)
    assert function.__doc__


def test_the_hooks_are_those_that_discovery_calls() -> None:
    assert sorted(HOOKS) == sorted(contract.hook for contract in CONTRACTS.values())


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_a_test(hook: str) -> None:
    tests = [*(ROOT / "core/tests").glob("test_*.py")]
    assert any(f"def {hook}(" in path.read_text() for path in tests)


@pytest.mark.parametrize(("contract", "line"), members())
def test_each_member_of_a_contract_is_listed(contract: str, line: str) -> None:
    assert contract in MANUAL
    assert re.search(rf"^{re.escape(line)}$", MANUAL, re.MULTILINE), f"{contract}: {line}"


@pytest.mark.parametrize("cls", [contracts.Probe, contracts.FilesystemInfo, Specimen])
def test_each_field_that_an_author_fills_in_is_told(cls: type) -> None:
    about = MANUAL[MANUAL.index(f"`{cls.__name__}` has") :][:1600]
    for field in fields(cls):
        assert f"`{field.name}`" in about, f"{cls.__name__}.{field.name}"


def test_each_state_is_told() -> None:
    assert all(f"`{state.name}`" in MANUAL for state in contracts.State)


def test_each_behaviour_is_listed_once() -> None:
    listed = re.findall(r"^\| ([PRTECLAN]\d+) \| (.*) \|$", MANUAL, re.MULTILINE)
    assert sorted(listed) == sorted(behaviours())
    assert len({number for number, _ in listed}) == len(listed)


def test_the_api_version_is_told() -> None:
    assert f"the current one is {contracts.API_VERSION}." in MANUAL
    assert f"it accepts {OLDEST_API_VERSION} to {contracts.API_VERSION} now" in re.sub(r"\s+", " ", MANUAL)


def test_public_modules_exist() -> None:
    promise = section("What you can rely on").split("Everything else")[0]
    names = re.findall(r"`(inpart\.[a-z]+)`", promise)
    assert len(names) == 10
    for name in names:
        importlib.import_module(name)


def test_the_example_is_shown_as_it_is() -> None:
    shown = re.findall(r"^`(examples/[^`]+)`\n\n```\w+\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)
    assert len(shown) == 5
    for path, text in shown:
        assert text == (ROOT / path).read_text(), path
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "examples/tinyfs/src").rglob("*.py")}
    assert package < {path for path, _ in shown}
