"""What the NTFS tools say of a partition: mounts, all that ntfs-3g shows, complaints, used clusters."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from inpart.extents import Extents
from inpart.testing.tools import run

HIDDEN = ".inpart"
_PATIENCE = 60.0
_FACTS = ("ntfs_times", "ntfs_attrib", "ntfs_dos_name", "ntfs_reparse_data", "ntfs_object_id", "ntfs_acl")
_EXPECTED = re.compile(
    r"Mounting volume\.\.\. OK"
    r"|Processing of \$MFT and \$MFTMirr completed successfully\."
    r"|Checking the alternate boot sector\.\.\. OK"
    r"|NTFS volume version is [13]\.[0-9]\."
    r"|NTFS partition \S+ was processed successfully\."
)
_TOLERABLE = re.compile(
    r"Cluster accounting failed at \d+ \(0x[0-9a-f]+\): extra cluster in \$Bitmap"
    r"|ntfsfix: Checking the alternate boot sector\.\.\. BAD"
    r"|ntfsfix: Error: Failed to fix the alternate boot sector"
)


@contextmanager
def mounted(path: Path, options: str = "") -> Iterator[Path]:
    """The folder where ntfs-3g shows the file system; its process has ended when the context is left."""
    every = ",".join(filter(None, ("no_detach", "big_writes", "streams_interface=xattr", options)))
    with tempfile.TemporaryDirectory(prefix="inpart-ntfs-") as folder, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(["ntfs-3g", "-o", every, path, folder], stdout=log, stderr=log)
        try:
            _await_mount(process, Path(folder))
            yield Path(folder)
        finally:
            if os.path.ismount(folder):
                run("umount", folder)
            process.wait(_PATIENCE)
            log.seek(0)
            assert process.returncode == 0, log.read().decode(errors="replace")


def _await_mount(process: subprocess.Popen[bytes], folder: Path) -> None:
    for _ in range(int(_PATIENCE / 0.005)):
        if os.path.ismount(folder) or process.poll() is not None:
            return
        time.sleep(0.005)
    raise AssertionError("ntfs-3g does not mount")


def contents(root: Path) -> dict[str, bytes]:
    """All regular files below a folder, by path."""
    found = {}
    for file in _files(root):
        if file.is_file() and not file.is_symlink():
            found["/" + str(file.relative_to(root))] = file.read_bytes()
    return found


def everything(root: Path) -> list[str]:
    """All paths below a folder."""
    return sorted("/" + str(file.relative_to(root)) for file in _files(root))


def snapshot(path: Path) -> dict[str, tuple[object, ...]]:
    """All that ntfs-3g shows of each file but ours: record number, links, times, attributes, content, streams."""
    with mounted(path, "ro") as root:
        return {"/" + str(file.relative_to(root)): _facts(file, root) for file in _files(root)}


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if Path(folder, name) != root / HIDDEN]
        for name in (*folders, *names):
            yield Path(folder, name)


def _facts(file: Path, root: Path) -> tuple[object, ...]:
    status = file.lstat()
    content: object = ""
    if stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        content = str(file.readlink()).removeprefix(str(root))
    numbers = (status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink)
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    attributes = {}
    for name in (*(f"system.{fact}" for fact in _FACTS), *_streams(file)):
        with suppress(OSError):
            attributes[name] = hashlib.sha256(os.getxattr(file, name, follow_symlinks=False)).hexdigest()
    return (numbers, size, tuple(sorted(attributes.items())), content)


def _streams(file: Path) -> list[str]:
    with suppress(OSError):
        return os.listxattr(file, follow_symlinks=False)
    return []


def judge(path: Path) -> list[str]:
    """What ntfsfix -n, ntfsinfo and the cluster accounting of ntfsresize find; nothing for a healthy file system."""
    return [*_ntfsfix(path), *_ntfsresize(path), *_ntfsinfo(path)]


def tolerable(complaint: str) -> bool:
    """True for what a cut may leave behind: clusters taken and unused, a backup of the boot sector that lags behind."""
    return _TOLERABLE.fullmatch(complaint) is not None


def _ntfsfix(path: Path) -> list[str]:
    done = subprocess.run(["ntfsfix", "-n", path], capture_output=True, text=True, errors="replace", check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    found = [f"ntfsfix: {line}" for line in lines if not _EXPECTED.fullmatch(line)]
    return found or ([f"ntfsfix: exit {done.returncode}"] if done.returncode else [])


def _ntfsresize(path: Path) -> list[str]:
    """Every cluster is counted against $Bitmap; ntfsresize names the first ten that differ."""
    command = ["ntfsresize", "--info", "--force", "--no-action", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return []
    lines = [line.strip() for line in re.sub(r".*percent completed", "", done.stdout + done.stderr).splitlines()]
    accounting = [line for line in lines if line.startswith("Cluster accounting failed")]
    if accounting and all(tolerable(line) for line in accounting):
        return accounting
    return [f"ntfsresize: {line}" for line in lines if line] or [f"ntfsresize: exit {done.returncode}"]


def _ntfsinfo(path: Path) -> list[str]:
    done = subprocess.run(["ntfsinfo", "-m", path], capture_output=True, text=True, errors="replace", check=False)
    return [f"ntfsinfo: {done.stderr.strip()}"] if done.returncode or done.stderr.strip() else []


def ntfsinfo_used(path: Path) -> int:
    """Bytes of used clusters, as ntfsinfo counts them."""
    text = run("ntfsinfo", "-m", path)

    def number(pattern: str) -> int:
        found = re.search(pattern, text)
        assert found is not None, text
        return int(found[1])

    size = number(r"\tCluster Size: (\d+)")
    return (number(r"Volume Size in Clusters: (\d+)") - number(r"Free Clusters: (\d+)")) * size


def partclone_used(path: Path) -> int:
    """Bytes of the clusters that partclone.ntfs would copy."""
    text = run("partclone.ntfs", "-c", "-s", path, "-o", "/dev/null", "-L", "/dev/null", "-F")
    size = re.search(r"Block size:\s+(\d+)", text)
    used = re.search(r"Space in use:.*= (\d+) Blocks", text)
    assert size is not None, text
    assert used is not None, text
    return int(used[1]) * int(size[1])


def ntfsclone_used(path: Path) -> Extents:
    """The clusters that ntfsclone saves, as bytes; the last, behind those of $Bitmap, holds the backup boot sector."""
    image = subprocess.run(["ntfsclone", "-s", "-f", "-o", "-", path], capture_output=True, check=True).stdout
    size, at = int.from_bytes(image[18:22], "little"), int.from_bytes(image[46:50], "little")
    cluster, used = 0, []
    while at < len(image):
        if image[at] == 0:
            cluster += int.from_bytes(image[at + 1 : at + 9], "little")
            at += 9
        else:
            used.append(cluster)
            cluster += 1
            at += 1 + size
    return Extents.from_starts(np.array(used, dtype=np.int64) * size, size)
