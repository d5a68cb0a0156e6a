"""Shorter stories than the demo's own."""

from __future__ import annotations

import stat
from contextlib import ExitStack

from core.demo.story import Story

PEOPLE = 160


class FirstDay(Story):
    """The story up to the first sync."""

    def tell(self, stack: ExitStack) -> None:
        self.size = PEOPLE
        self._set_the_stage(stack)
        assert 0o600 == stat.S_IMODE(self.config.stat().st_mode)
        self._first_day()
