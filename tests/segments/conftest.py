"""What most tests of the language are asked of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.store import Store


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all tests of a module: each writes its world over the last."""
    with Store(tmp_path_factory.mktemp("shared") / "tagalong.db") as store:
        store.conn.execute("PRAGMA synchronous = OFF")
        yield store
