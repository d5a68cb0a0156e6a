"""An api whose folder is the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from files_rows import ACCOUNTS


@pytest.fixture
def api(fake_api: Callable[..., Any]) -> Any:
    """An api of a files connection that reads accounts and writes to `out`."""
    return fake_api("files", {"streams": {"accounts": ACCOUNTS}, "folder": "out"})
