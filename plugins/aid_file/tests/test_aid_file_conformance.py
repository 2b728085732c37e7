"""The aid file conforms to the kit of recovery aids."""

from __future__ import annotations

from inpart.testing.aid_kit import AidKit
from inpart_aid_file.plugin import inpart_recovery_aids


class TestFileAid(AidKit):
    provider = inpart_recovery_aids()[0]
