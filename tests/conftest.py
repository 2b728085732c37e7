"""Makes the recipes of the file systems' tests, and the damage matrix, importable for the tests of all parts.

What most of them need: a session with the plugins that are installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from inpart import plugins
from inpart.operations.session import Session

for plugin in ("fat", "ext", "ntfs"):
    sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / plugin / "tests"))
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def session() -> Session:
    """All plugins that are installed, and the default policy."""
    return Session(plugins.load())
