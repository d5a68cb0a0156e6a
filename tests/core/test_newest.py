"""`Stream.newest_by`: of two events with one key the later one stays, in whichever order, page or pull they come."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from support.pulled import NOON, World, stream

from core.contract import Category, Kind

COPIES = [("first", 1), ("second", 2), ("third", 3)]


def _event(copy: tuple[str, object]) -> dict[str, Any]:
    return {"id": "e1", "name": "Did", "time": NOON.isoformat(), "properties": {"copy": copy[0], "taken at": copy[1]}}


def _stored(path: Path, copies: Any, *, size: int, pulls: int = 1, newest_by: str | None = "taken at") -> Any:
    """Return which copy is there after *copies* came, *size* a page, shared out over *pulls*."""
    coming = iter([list(copies)] if pulls == 1 else [[copy] for copy in copies])
    fields = {"name": "name", "time": "time", "properties": "properties"}
    events = stream(
        "events", lambda: [_event(copy) for copy in next(coming)] + [{**_event(("x", 0)), "id": "e2"}],
        Kind.EVENT, size=size, fields=fields, newest_by=newest_by,
    )  # fmt: skip
    world = World(path, mp=(Category.ANALYTICS, [events]))
    for _ in range(pulls):
        assert world.pull("mp").streams[0].error is None
    copy = world.one("SELECT json_extract(properties, '$.copy') FROM events WHERE key = 'e1'")
    world.store.close()
    return copy


@pytest.mark.parametrize("order", list(itertools.permutations(COPIES)), ids=lambda order: "-".join(name for name, _ in order))
@pytest.mark.parametrize(("size", "pulls"), [(10, 1), (1, 3)], ids=["one page", "three pulls"])
def test_the_latest_stays(store_path: Path, order: Any, size: int, pulls: int) -> None:
    """Whatever the order; without the word it is the last that came."""
    assert "third" == _stored(store_path, order, size=size, pulls=pulls)
    assert order[-1][0] == _stored(store_path.with_name("other.db"), order, size=size, pulls=pulls, newest_by=None)


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        pytest.param([("dated", 1), ("undated", None)], "dated", id="one that does not say is older"),
        pytest.param([("undated", None), ("dated", 1)], "dated", id="and stands back"),
        pytest.param([("one", 1), ("other", 1)], "other", id="of two alike the last that came"),
    ],
)
@pytest.mark.parametrize(("size", "pulls"), [(10, 1), (1, 2)], ids=["one page", "two pulls"])
def test_copies_that_do_not_say(store_path: Path, copies: Any, expected: str, size: int, pulls: int) -> None:
    """A missing number is nought."""
    assert expected == _stored(store_path, copies, size=size, pulls=pulls)
