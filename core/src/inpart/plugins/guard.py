"""Running what others wrote: whatever it raises becomes a sentence with the place, and stops nobody else."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pluggy

from inpart.contracts import Provider
from inpart.errors import InpartError

_MACHINERY = ("<frozen", *(str(Path(module).parent) for module in (__file__, pluggy.__file__, importlib.__file__)))

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Failure:
    """What foreign code raised, as a sentence with the place."""

    detail: str
    error: BaseException


def attempt(call: Callable[[], T]) -> T | Failure:
    """Run foreign code, which may raise anything; even a ``sys.exit`` in a plugin must not stop a restore.

    Ctrl-C passes, also where Python made another error of it because a class was being made.
    """
    try:
        return call()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what a plugin raises is recorded, never passed on
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        return Failure(f"{type(error).__name__}: {error}{_place(error)}", error)


def ask(provider: Provider, call: Callable[[], T], otherwise: U, warn: Callable[[str], object]) -> T | U:
    """Call one of several providers that are all asked, such as for a probe.

    Errors of ``inpart.errors`` are its answer and pass. Anything else is a bug of that plugin: it becomes a warning and
    counts as ``otherwise``, so that it cannot stop those who do not need the plugin.
    """
    answer = attempt(call)
    if not isinstance(answer, Failure):
        return answer
    if isinstance(answer.error, InpartError):
        raise answer.error
    warn(f"the plugin {provider.name} has a bug and is left out: {answer.detail}")
    return otherwise


def _place(error: BaseException) -> str:
    """The innermost line of the plugin's own source that an error passed."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(_MACHINERY):
            place = f" ({file}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place
