"""Leaves that one reading tells: each gives what it gives alone, and several are asked in one statement."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Literal

import pytest
from asking import PLACE
from pyroaring import BitMap
from reference import Reference
from smallworld import AS_OF, World, ago, definitions

from core.config.model import Segment
from core.segments import together
from core.segments.definitions import Definitions
from core.segments.dialect import Sql
from core.segments.evaluate import evaluate
from core.segments.indexes import ensure_indexes
from core.store import Store


def within(text: str, *days: int) -> list[str]:
    return [f'{text}, within="{n}d")' for n in days]


FAMILIES = {
    "median": [
        'median("Page Viewed", "ms") > 3',
        'median("Page Viewed", "ms") > 6',
        'median("Page Viewed", "ms", last="40d") < 4',
        'exists(median("Page Viewed", "ms", between_ago=("60d", "20d")))',
    ],
    "median of some": [
        'median("Page Viewed", "ms", where=ms > 2) > 5',
        'median("Page Viewed", "ms", where=ms > 2, last="50d") > 5',
    ],
    "count": [
        'count("Order") >= 3',
        'count("Order", last="30d") >= 1',
        'count("Order", last="30d") < 2',
        'count("Order") == 0',
        'count("Order", since="2026-02-01", until="2026-03-01") >= 1',
        'count("Order", during=previous("month")) <= 1',
        'did("Order")',
        'did("Order", last="45d")',
        'did("Order", between_ago=("80d", "30d"))',
    ],
    "time": [
        'more_than_ago(first_time("Order"), "70d")',
        'within_last(last_time("Order"), "30d")',
        'more_than_ago(last_time("Order", between_ago=("90d", "40d")), "60d")',
        'exists(first_time("Order", last="25d"))',
    ],
    "days": [
        'days_active("Order") >= 3',
        'days_active("Order", last="60d") >= 2',
        'regularly("Order", 2, of=4, every="20d")',
    ],
    "least and most": ['min("Page Viewed", "ms") > 1', 'max("Page Viewed", "ms", last="40d") > 7'],
    "sum": ['sum("Page Viewed", "ms") > 20', 'sum("Page Viewed", "ms") > 9'],
    "mean": ['avg("Page Viewed", "ms", last="60d") > 4', 'avg("Page Viewed", "ms", last="60d") > 5'],
    "latest": [
        'last_event("Page Viewed", path="/a")',
        'last_event("Page Viewed", path="/b")',
        'last_event("Page Viewed", where=path != "/a")',
        'last_event("Page Viewed", where=missing(path))',
        'last_event("Page Viewed", where=path == "/a" and ms > 2)',
    ],
    "sequence": ['sequence("Page Viewed", "Order")', *within('sequence("Page Viewed", "Order"', 1, 5, 20)],
    "three steps": within('sequence("Order", "Page Viewed", "Order"', 10, 30, 60),
    "from the last": within('sequence("Page Viewed", "Order", start="last"', 2, 9),
    "absent": within('sequence("Page Viewed", without("Signed Up"), "Order"', 1, 4, 20),
    "absent later": within('sequence("Order", "Page Viewed", without("Signed Up"), "Order"', 10, 30, 60),
    "absent twice": within('sequence("Order", without("Signed Up"), "Page Viewed", without("Signed Up"), "Order"', 20, 80),
    "field": ['country == "SE"', 'country in ["NO", "DK"]', "exists(country)"],
    "several values": ['crm.tags == "a"', 'crm.tags == "b"', "exists(crm.tags)"],
}
BY_INDEX = {
    "told apart": ['distinct("Page Viewed", "path") >= 2', 'distinct("Page Viewed", "path", last="50d") >= 2'],
    "same": within('sequence("Page Viewed", "Page Viewed", same="path"', 2, 9, 30),
}
"""That are told together where an index by person has the property."""
APART = {
    "absent at the end": within('sequence("Page Viewed", without("Order")', 2, 20),
    "from the last, absent later": within(
        'sequence("Signed Up", "Page Viewed", without("Order"), "Page Viewed", start="last"', 20, 60
    ),
    "own clock": ['did("Order", during=previous("month"))', 'did("Order", since="2026-02-10")'],
    "found by an index": ['email == "p3@example.com"', 'email in ["p4@example.com", "p5@example.com"]'],
}
"""That each tell by a query of their own."""
ALL = FAMILIES | BY_INDEX | APART
TEXTS = [text for texts in ALL.values() for text in texts]


def lively(seed: int = 6) -> World:
    """Sixty people, of whom some did nothing at all."""
    chance, world = random.Random(seed), World()
    for _ in range(60):
        who = world.person(
            country=chance.choice(("SE", "NO", "DK", None)), timezone=chance.choice(("Asia/Tokyo", "America/New_York", None)),
            created_at=ago(days=chance.randrange(100), hours=chance.randrange(24)),
        )  # fmt: skip
        world.contacts.append({"profile_id": who, "tags": chance.choice((["a", "b"], ["a"], ["b"], ["c"], [], None))})
        for _ in range(chance.choice((0, 1, 3, 8, 15))):
            some = {"path": chance.choice(("/a", "/b", "/c"))} if chance.random() < 0.8 else {}
            some |= {"ms": chance.choice((1, 2, 5, 8, 2.5))} if chance.random() < 0.8 else {}
            name = chance.choice(("Page Viewed", "Page Viewed", "Order", "Order", "Signed Up"))
            world.event(who, name, ago(days=chance.randrange(100), hours=chance.randrange(4) * 6), **some)
    return world


@pytest.fixture(scope="module", params=["without indexes", "with indexes"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("together") / "tagalong.db") as store:
        lively().write(store)
        if request.param == "with indexes":
            ensure_indexes(store, defined(*TEXTS))
        yield store


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many leaves each statement told that told several."""
    found: list[int] = []
    real = together.bits_of_several

    def spied(conn: sqlite3.Connection, query: Sql, many: int) -> list[BitMap]:
        found.append(many)
        return real(conn, query, many)

    monkeypatch.setattr(together, "bits_of_several", spied)
    return found


def defined(*texts: str) -> Definitions:
    """Return the definitions of these segments, each in the workspace's zone or on each person's own clock."""
    zones: list[Literal["person"] | None] = ["person" if text in APART["own clock"] else None for text in texts]
    return definitions({f"s{n}": Segment(f"s{n}", text, place=PLACE, timezone=zones[n]) for n, text in enumerate(texts)})


def asked(store: Store, *texts: str) -> list[list[int]]:
    found = evaluate(store, defined(*texts), as_of=AS_OF, reuse=False)
    assert {} == found.failed
    return [list(found.sets[f"segment.s{n}"]) for n in range(len(texts))]


@pytest.mark.parametrize("family", ALL)
def test_together_each_tells_what_it_tells_alone(full: Store, statements: list[int], family: str) -> None:
    """Of some people each is true and of others false, and no two say the same."""
    alone = [asked(full, text)[0] for text in ALL[family]]
    assert not statements

    assert alone == asked(full, *ALL[family])
    assert all(0 < len(people) < 60 for people in alone)
    assert len(alone) == len({tuple(people) for people in alone})


def test_all_families_at_once_tell_what_the_reference_does(full: Store) -> None:
    reference = Reference(lively(), defined(*TEXTS), AS_OF)

    assert [sorted(reference.members(f"segment.s{n}")) for n in range(len(TEXTS))] == asked(full, *TEXTS)


@pytest.mark.parametrize("family", FAMILIES | BY_INDEX)
def test_one_statement_tells_several(full: Store, statements: list[int], family: str, request: pytest.FixtureRequest) -> None:
    asked(full, *ALL[family])

    assert bool(statements) == (family in FAMILIES or "with indexes" in request.node.name)


@pytest.mark.parametrize("family", APART)
def test_what_no_reading_tells_is_asked_alone(full: Store, statements: list[int], family: str) -> None:
    asked(full, *APART[family])

    assert not statements


def test_windows_so_short_that_their_events_are_found_by_time_are_not_read_with_all(full: Store, statements: list[int]) -> None:
    asked(full, 'did("Order", last="2d")', 'did("Order", last="3d")')

    assert not statements


def test_so_many_leaves_are_told_at_once_and_no_more(
    full: Store, statements: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "AT_ONCE", 4)
    alone = [asked(full, text)[0] for text in FAMILIES["count"]]

    assert alone == asked(full, *FAMILIES["count"])
    assert max(statements) <= 4 < len(FAMILIES["count"])


def test_where_a_statement_fails_each_leaf_is_asked_alone(full: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = FAMILIES["count"]
    expected = asked(full, *texts)
    tried: list[int] = []

    def fail(_conn: sqlite3.Connection, _query: Sql, many: int) -> list[BitMap]:
        tried.append(many)
        raise sqlite3.OperationalError("too many terms")

    monkeypatch.setattr(together, "bits_of_several", fail)

    assert expected == asked(full, *texts)
    assert tried
