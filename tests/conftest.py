"""Makes the recipes of the file systems' tests, and the damage matrix, importable for the tests of all parts."""

from __future__ import annotations

import sys
from pathlib import Path

for plugin in ("fat", "ext", "ntfs"):
    sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / plugin / "tests"))
sys.path.insert(0, str(Path(__file__).parent))
