"""Large arrays that are not needed any more leave the process, whatever was allocated behind them."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
from inpart.cli.memory import return_large_blocks

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[1] == "returned":
    return_large_blocks()
before = resident()
np.ones(3 << 20)
arrays, pinned = [], []
for number in range(8):
    arrays.append(np.ones(2 << 20))
    pinned.append(np.ones(4000))
del arrays
print(resident() - before)
"""


@pytest.mark.parametrize(("what", "returned"), [("returned", True), ("kept", False)])
def test_large_arrays_leave_the_process(what: str, returned: bool) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, what], capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 32 << 20) is returned
