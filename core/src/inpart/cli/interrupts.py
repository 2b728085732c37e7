"""Ctrl-C and its like: they end the process at once while nothing is open, and are a KeyboardInterrupt after that."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_JSON = '{"error": {"kind": "Interrupted", "exit_code": 130, "message": "interrupted", "hint": null}}\n'


def leave_at_once() -> None:
    """What is raised inside of an import may become another error or be lost; so nothing is raised until ``unwind``.

    Signals that whoever started inpart ignores, as ``nohup`` does, stay ignored.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(number, _leave)


def unwind() -> None:
    """Something will be open from now on: what was begun has to be taken back or finished before the end."""
    for number in _SIGNALS:
        if signal.getsignal(number) is _leave:
            signal.signal(number, signal.default_int_handler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    _say(2, "inpart: interrupted\n")
    if "--json" in sys.argv:
        _say(1, _JSON)
    os._exit(INTERRUPTED)


def _say(descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, text.encode())
    except OSError:
        return
