"""Providers of all four kinds that need no plugin, so that the core can be tested alone; they conform to the kits."""

from inpart.plugins import Plugins
from inpart.testing.null.aid import NullAid
from inpart.testing.null.editor import NullFilesystem
from inpart.testing.null.encoding import NullEncoding
from inpart.testing.null.layout import NullLayout
from inpart.testing.null.maker import make_null
from inpart.testing.null.provider import NullFilesystemProvider

__all__ = [
    "NullAid",
    "NullEncoding",
    "NullFilesystem",
    "NullFilesystemProvider",
    "NullLayout",
    "make_null",
    "null_plugins",
]


def null_plugins() -> Plugins:
    """All of them, as discovery would yield them."""
    return Plugins((NullFilesystemProvider(),), (NullEncoding(),), (NullLayout(),), (NullAid(),))
