"""What tests of e-mail tools share; what `make_mail` and `tag` are, each tool's own say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def mail(make_mail: Callable[..., Any]) -> Any:
    """An api against a sandbox with its usual manners."""
    return make_mail()


@pytest.fixture
def id_(mail: Any, tag: Any) -> str:
    """A tag called VIP, on nobody."""
    made: str = tag.create(mail, "VIP", [])
    return made
