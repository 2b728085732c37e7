"""Makes the recipes of the FAT plugin's tests importable for tests across distributions."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins/fat/tests"))
