"""Which of the ``[[device]]`` tables of the file count: those whose pattern fits a name of the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from inpart.errors import UsageError
from inpart.partitions import parse_address

_LINKS = Path("/dev/disk")


def fits(pattern: str, address: str | None) -> bool:
    """True if ``pattern`` describes ``address``, or the device or file that it names, by any of its paths."""
    return address is not None and any(fnmatchcase(name, pattern) for name in _names(address, pattern))


def _names(address: str, pattern: str) -> Iterator[str]:
    yield address
    try:
        path = parse_address(address).path
        place = path.resolve()
    except (UsageError, OSError, RuntimeError):
        return
    yield str(path)
    yield str(path.absolute())
    yield str(place)
    if pattern.startswith(str(_LINKS)):
        yield from _links_to(place, _LINKS.glob("*/*"))


def _links_to(place: Path, links: Iterable[Path]) -> Iterator[str]:
    """The names that udev gives a device, such as /dev/disk/by-id/mmc-DG4016_0x1d7a2bd1."""
    for link in links:
        try:
            if link.resolve() == place:
                yield str(link)
        except (OSError, RuntimeError):
            continue
