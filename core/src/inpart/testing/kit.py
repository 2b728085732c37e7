"""What the conformance kits of all kinds have in common.

A plugin adopts a kit by a subclass whose name starts with ``Test``, with the provider and what the kit asks for. Every
test stands for one numbered behaviour of docs/PLUGINS.md, and its message opens with that number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from inpart.plugins import Kind, Source
from inpart.plugins.checks import flaw


@contextmanager
def noting(text: str) -> Iterator[None]:
    """Put ``text`` beside whatever is raised, so that a failure tells its case."""
    try:
        yield
    except BaseException as error:
        error.add_note(text)
        raise


class ProviderKit:
    """P: what every provider must fulfil. ``provider`` is an object as the hook returns it."""

    kind: ClassVar[Kind]
    provider: ClassVar[Any]
    variants: ClassVar[Sequence[str]] = ("default",)
    """Names of the samples that the tests run on, one after the other."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test that wants a variant once for every one."""
        if "variant" in metafunc.fixturenames:
            metafunc.parametrize("variant", self.variants)

    def test_p1_discovery_accepts_the_provider(self) -> None:
        """P1: name, API version, summary and all members of the contract are there."""
        problem = flaw(Source("adopter", "0", "kit"), self.kind, self.provider)
        assert problem is None, f"P1: {problem.detail}"

    def test_p2_summary_is_one_line(self) -> None:
        """P2: the summary is one line, to be shown in a table."""
        summary = self.provider.summary
        assert summary.splitlines() == [summary.strip()], f"P2: {summary!r}"
        assert len(summary) <= 100, f"P2: the summary has {len(summary)} characters"
