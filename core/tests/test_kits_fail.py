"""The conformance kits can fail: for each behaviour there is a provider that breaks it, and the kit names it."""

from __future__ import annotations

import importlib
import inspect
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broken_providers import BROKEN, aid, encoding, filesystem, layout
from inpart.testing.kit import ProviderKit


def behaviours(kit: type[ProviderKit]) -> dict[str, Callable[..., None]]:
    """The tests of a kit by the number of their behaviour."""
    methods = [value for name, value in inspect.getmembers(kit, inspect.isfunction) if name.startswith("test_")]
    return {(method.__doc__ or "").split(":")[0]: method for method in methods}


def run(kit: type[ProviderKit], number: str, folder: Path) -> BaseException | None:
    """What the test of one behaviour raises."""
    test = behaviours(kit)[number]
    choices: dict[str, list[Any]] = {
        "variant": list(kit.variants),
        "what": ["claim", "pass", "vacate", "release"],
        "tmp_path": [folder],
    }
    names = [name for name in inspect.signature(test).parameters if name != "self"]
    for values in itertools.product(*(choices[name] for name in names)):
        try:
            test(kit(), **dict(zip(names, values, strict=True)))
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - any failure of the kit counts
            return error
    return None


def test_every_behaviour_has_a_breaker() -> None:
    kits = ("kit", "reader_kit", "tree_kit", "editor_kit", "encoding_kit", "storing_kit", "layout_kit", "aid_kit")
    numbers: set[str] = set()
    for name in kits:
        for _, kit in inspect.getmembers(importlib.import_module(f"inpart.testing.{name}"), inspect.isclass):
            numbers |= set(behaviours(kit)) if issubclass(kit, ProviderKit) else set()
    assert set(BROKEN) == numbers


@pytest.mark.parametrize("number", BROKEN)
def test_what_is_broken_fails(number: str, tmp_path: Path) -> None:
    error = run(BROKEN[number], number, tmp_path)
    assert error is not None, f"{number} cannot fail"
    assert not isinstance(error, TypeError | AttributeError | NameError), f"{number}: the breaker is broken: {error!r}"
    assert number in str(error) + "".join(getattr(error, "__notes__", ())), f"{number} is not named: {error!r}"


@pytest.mark.parametrize("kit", [filesystem(), encoding(), layout(), aid()])
def test_what_is_right_passes(kit: type[ProviderKit], tmp_path: Path) -> None:
    for number in behaviours(kit):
        folder = tmp_path / number
        folder.mkdir()
        error = run(kit, number, folder)
        if error is not None:
            raise error
