"""Stories with and without guards: what both of the guards' test modules begin with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.story import Story


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Story]:
    """Make two worlds of one kind: one with guards, one without."""
    count = iter(range(9))

    def made(**options: Any) -> Story:
        folder = tmp_path / str(next(count))
        folder.mkdir()
        return Story(folder, **options)

    return made
