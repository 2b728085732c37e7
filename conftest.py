"""What all tests share: the run fails at once, and says why, when a reference tool is missing."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

# The tools of the tests live in Debian's sbin, which is not in every user's path.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

REFERENCE_TOOLS = Path(__file__).parent / "tools" / "reference-tools.txt"


def pytest_sessionstart() -> None:
    """Nothing is skipped for want of a tool: the run ends here. Ctrl-C is tested in the background as well."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    pairs = [line.split() for line in REFERENCE_TOOLS.read_text().splitlines()]
    missing = sorted({package for tool, package in pairs if shutil.which(tool) is None})
    if missing:
        pytest.exit(f"reference tools are missing; run 'make tools', or install: {' '.join(missing)}", returncode=1)
