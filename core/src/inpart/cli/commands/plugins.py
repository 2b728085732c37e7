"""``inpart plugins``: what is loaded, from which distribution, and what failed and why."""

from __future__ import annotations

from collections.abc import Iterator

from inpart import plugins
from inpart.cli.command import Run
from inpart.cli.command import command as _command
from inpart.cli.output import table


@_command()
def command(run: Run) -> None:
    """Show which plugins are in use, and which fail."""
    found = plugins.load(run.configuration().disabled_plugins)
    run.show(found.report(), _text(found))


def _text(found: plugins.Plugins) -> Iterator[str]:
    rows = [
        (provider.kind.value, provider.name, f"{plugin.source.distribution} {plugin.source.version}", provider.summary)
        for plugin in found.loaded
        for provider in plugin.providers
    ]
    yield from table([("KIND", "NAME", "DISTRIBUTION", "SUMMARY"), *sorted(rows)])
    for problem in found.problems:
        yield f"not used: {problem.source}: {problem.what.value}: {problem.detail}"
    for source in found.disabled:
        yield f"disabled: {source}"
