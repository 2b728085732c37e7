"""The worked example of docs/PLUGINS.md is built, installed and used like anybody's plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples/tinyfs"
CLUSTER, USED, CLUSTERS = 1024, 400, 1001


def run(*command: str | Path, site: Path | None = None, status: int = 0) -> str:
    """Standard output of a command that finds the packages in ``site``."""
    environment = dict(os.environ, PYTHONPATH=str(site)) if site else dict(os.environ)
    found = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=False)
    assert found.returncode == status, found.stdout + found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example installed from its wheel; nothing is fetched from anywhere."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, EXAMPLE)
    (wheel,) = wheels.glob("inpart_tinyfs-1.0.0-*.whl")
    run(*pip, "install", "--no-index", "--no-deps", "--target", target, wheel)
    return target


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A TinyFS made by its own tool."""
    path = tmp_path / "tiny.img"
    run(sys.executable, EXAMPLE / "tests/mktinyfs.py", path)
    return path


def inpart(site: Path, *arguments: str | Path, status: int = 0) -> dict[str, object]:
    """One command with ``--json``."""
    command = Path(sys.executable).with_name("inpart")
    found: dict[str, object] = json.loads(run(command, *arguments, "--json", site=site, status=status))
    return found


def test_it_is_short() -> None:
    sources = [*EXAMPLE.glob("src/**/*.py"), EXAMPLE / "pyproject.toml"]
    assert sum(len(path.read_text().splitlines()) for path in sources) < 150
    assert len((EXAMPLE / "tests/test_conformance.py").read_text().splitlines()) < 40


def test_plugins_shows_it(site: Path) -> None:
    report = inpart(site, "plugins")
    assert {
        "distribution": "inpart-tinyfs",
        "version": "1.0.0",
        "entry_point": "tinyfs",
        "providers": [
            {
                "kind": "filesystem",
                "name": "tinyfs",
                "api_version": 1,
                "summary": "TinyFS, the example of docs/PLUGINS.md: image and check",
            }
        ],
    } in list(report["plugins"])  # type: ignore[call-overload]
    assert "tinyfs" not in json.dumps(report["problems"])


def test_probe_knows_its_image(site: Path, image: Path) -> None:
    probe = inpart(site, "probe", image)
    assert (probe["filesystem"], probe["label"], probe["state"]) == ("tinyfs", "EXAMPLE", "clean")
    assert (probe["cluster_size"], probe["used_bytes"]) == (CLUSTER, USED * CLUSTER)
    assert probe["free_bytes"] == (CLUSTERS - USED) * CLUSTER


def test_an_image_outside_brings_it_back(site: Path, image: Path, tmp_path: Path) -> None:
    before, stream = image.read_bytes(), tmp_path / "tiny.ipi"
    inpart(site, "create", image, "--name", "first", "--to", stream)
    image.write_bytes(bytes(len(before)))
    inpart(site, "restore", stream, "--to", image, "--yes")
    assert image.read_bytes() == before


def test_without_the_plugin_it_is_unknown(image: Path) -> None:
    command = Path(sys.executable).with_name("inpart")
    found = subprocess.run([command, "probe", image], capture_output=True, text=True, check=False)
    assert found.returncode == 15, found.stderr
    assert "Traceback" not in found.stderr


def test_its_own_tests_pass(site: Path, tmp_path: Path) -> None:
    pytest_options = ("-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, "-c", os.devnull)
    output = run(sys.executable, "-m", "pytest", *pytest_options, EXAMPLE / "tests", site=site)
    assert "36 passed" in output
