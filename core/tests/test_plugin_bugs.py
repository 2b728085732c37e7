"""A bug in one plugin is a warning to those who do not need it, and they get their image and their restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from inpart.encodings import builtin_encodings
from inpart.errors import OutOfBounds, VolumeError
from inpart.operations.create import CreateOptions, create
from inpart.operations.images import list_images
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Policy, Session
from inpart.operations.stores import EVERY
from inpart.plugins import Plugins, ask
from inpart.testing.null import NullAid, NullFilesystemProvider, NullLayout, make_null, null_plugins
from inpart.volume import FileVolume


def explode(*_: object) -> NoReturn:
    raise ZeroDivisionError("boom")


def unreadable(*_: object) -> NoReturn:
    raise OutOfBounds("1024 bytes at 4194304 reach beyond its 4194304 bytes")


class BuggyFilesystem(NullFilesystemProvider):
    name = "buggy-filesystem"
    probe = explode


class BuggyLayout(NullLayout):
    name = "buggy-layout"
    locate = explode


class BuggyAid(NullAid):
    name = "buggy-aid"
    find = explode


def test_nobody_is_stopped_who_does_not_need_it(tmp_path: Path) -> None:
    path, content = tmp_path / "null.img", {"/file": bytes(range(256)) * 1000}
    with FileVolume.create(path, 4 << 20) as volume:
        make_null(volume, content)
    null, warnings = null_plugins(), list[str]()
    plugins = Plugins(
        (BuggyFilesystem(), *null.filesystems),
        builtin_encodings(),
        (BuggyLayout(), *null.layouts),
        (BuggyAid(), *null.aids),
    )
    session = replace(Session(plugins, Policy(layout="null")), warn=warnings.append)
    create(session, str(path), CreateOptions("first"))
    with open(path, "r+b") as file:
        file.write(bytes(500_000))
    restore(session, str(path), RestoreOptions())
    assert [row.name for row in list_images(session, str(path), EVERY).images] == ["first"]
    for name in ("buggy-filesystem", "buggy-layout", "buggy-aid"):
        assert any(f"the plugin {name} has a bug" in warning and "boom" in warning for warning in warnings), name
    assert any("test_plugin_bugs.py, line" in warning for warning in warnings)


def test_errors_on_purpose_and_interrupts_pass() -> None:
    def fail(error: BaseException) -> NoReturn:
        raise error

    provider, warnings = NullAid(), list[str]()
    for error in (VolumeError("unreadable"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            ask(provider, lambda error=error: fail(error), None, warnings.append)  # type: ignore[misc]
    assert not warnings
    assert ask(provider, lambda: fail(SystemExit(3)), 7, warnings.append) == 7
    assert len(warnings) == 1


@pytest.mark.parametrize("bug", [explode, unreadable])
def test_a_file_system_that_cannot_be_opened_does_not_stop_a_search(
    tmp_path: Path, bug: Callable[..., NoReturn], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "null.img"
    with FileVolume.create(path, 4 << 20) as volume:
        make_null(volume, {"/file": bytes(range(256)) * 1000})
    session = Session(replace(null_plugins(), encodings=builtin_encodings()), Policy(layout="null"))
    create(session, str(path), CreateOptions("first"))
    monkeypatch.setattr(NullFilesystemProvider, "open", bug)
    assert [row.name for row in list_images(session, str(path), EVERY).images] == ["first"]
