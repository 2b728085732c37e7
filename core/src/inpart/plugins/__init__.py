"""Discovery of plugins: entry points in; typed providers, and a record of everything that went wrong, out.

Nothing else touches pluggy's manager. Each plugin gets a manager of its own, so that a broken one cannot disturb
another, and whatever foreign code raises while it is loaded becomes a ``PluginProblem``.
"""

from inpart.plugins.checks import CONTRACTS, OLDEST_API_VERSION
from inpart.plugins.discovery import load
from inpart.plugins.guard import ask
from inpart.plugins.model import Kind, LoadedPlugin, LoadedProvider, PluginProblem, Plugins, Source, Trouble

__all__ = [
    "CONTRACTS",
    "OLDEST_API_VERSION",
    "Kind",
    "LoadedPlugin",
    "LoadedProvider",
    "PluginProblem",
    "Plugins",
    "Source",
    "Trouble",
    "ask",
    "load",
]
