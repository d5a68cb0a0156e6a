"""Made-up people of the segments' tests, and a recipe evaluated over them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "segments"))  # the small world

from core.store import Store


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all worlds of a module."""
    with Store(tmp_path_factory.mktemp("recipes") / "tagalong.db") as store:
        yield store
