"""A world in which somebody is forgotten: what every test of it begins with."""

from __future__ import annotations

from pathlib import Path

import pytest
from forgetting import ForgetStory


@pytest.fixture
def story(tmp_path: Path) -> ForgetStory:
    """Ann among others, pulled and pushed."""
    return ForgetStory(tmp_path)
