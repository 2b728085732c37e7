"""What all tests share: the run fails at once, and says why, when a reference tool is missing."""

from __future__ import annotations

import os
import shutil

import pytest

# The tools of the tests live in Debian's sbin, which is not in every user's path.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

REFERENCE_TOOLS = {
    "mkfs.fat": "dosfstools",
    "fsck.fat": "dosfstools",
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "mkntfs": "ntfs-3g",
    "partclone.fat": "partclone",
    "sfdisk": "fdisk",
    "sgdisk": "gdisk",
    "parted": "parted",
    "ddrescue": "gddrescue",
    "bmaptool": "bmap-tools",
    "zstd": "zstd",
}


def pytest_sessionstart() -> None:
    """Nothing is skipped for want of a tool: the run ends here."""
    missing = sorted({package for tool, package in REFERENCE_TOOLS.items() if shutil.which(tool) is None})
    if missing:
        pytest.exit(f"reference tools are missing; run 'make tools', or install: {' '.join(missing)}", returncode=1)
