"""A page that is read column by column says what its records say one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.pulled import World

from core.contract import Category, Kind, Page, Stream
from core.store.columns import Columns, Sharing
from core.store.pages import RecordStore

TABLES = (
    "SELECT * FROM crm__things ORDER BY key", "SELECT * FROM catalogue ORDER BY field",
    "SELECT subject_id, kind, value, is_company FROM fresh_identifiers ORDER BY subject_id, position",  # gaps mean nothing
    "SELECT * FROM subjects ORDER BY id", "SELECT * FROM profile_rows ORDER BY id", "SELECT * FROM tickets ORDER BY id",
    "SELECT connection, stream, key, reason FROM dead_letters ORDER BY key", "SELECT live_count FROM streams",
)  # fmt: skip
MAPPED: dict[Kind, dict[str, Any]] = {
    Kind.PROFILE: {
        "fields": {
            "first_name": "name",
            "country": "address.country",
            "created_at": "at",
            "job_title": lambda record: record["v"],
        },
        "identifiers": {"thing_id": "id", "email": "mail", "company_domain": "site", "company_id": "firm.id"},
    },
    Kind.TICKET: {"fields": {"status": "name", "score": "v", "opened_at": "at"}, "identifiers": {"email": "mail"}},
}
VALUES = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.booleans(),
    st.floats(-2, 2),
    st.sampled_from(["", " a ", "7", "2026-01-01"]),
    st.sampled_from([2**70, Decimal("1.5"), [1, "b"], {"deep": 1}, datetime(2026, 1, 1, tzinfo=UTC)]),
)
RECORDS = st.fixed_dictionaries(
    {
        "name": st.sampled_from([None, " Ann ", "", 3]),
        "mail": st.sampled_from([None, "Ann@Example.com ", "none", ["a@example.com", "b@example.com"]]),
        "address": st.sampled_from([{"country": "Sweden", "in": {"a": 1}}, {"country": None, "in": {"a": None}}]),
        "at": st.sampled_from([None, "2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02"]),
        "v": st.sampled_from([None, 1, 2, 3]),
        "site": st.sampled_from([None, "https://www.a.example.com/x", "b.example.com"]),
        "firm": st.sampled_from([{"id": 7}, {"id": None}]),
    }
)
ODD = st.tuples(st.sampled_from(["name", "mail", "address", "at", "v", "site", "firm", "extra"]), VALUES)


def _stored(path: Path, pages: list[list[dict[str, Any]]], kind: Kind) -> list[list[tuple[Any, ...]]]:
    path.unlink(missing_ok=True)

    def pull(api: object, cursor: object, resume: str | None) -> Iterator[Page]:
        for page in pages:
            yield Page(page)

    world = World(path, crm=(Category.CRM, [Stream("things", kind, pull=pull, key="id", **MAPPED[kind])]))
    try:
        assert world.pull("crm").complete
        return [world.rows(sql) for sql in TABLES]
    finally:
        world.store.close()


@pytest.mark.parametrize("kind", list(MAPPED), ids=str)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pages=st.lists(st.lists(RECORDS, min_size=1, max_size=4), min_size=1, max_size=4),
    odd=st.lists(ODD, max_size=2),
    at=st.data(),
)
def test_reading_by_column_stores_what_reading_one_by_one_stores(
    tmp_path: Path, kind: Kind, pages: list[list[dict[str, Any]]], odd: list[tuple[str, Any]], at: st.DataObject
) -> None:
    """Whatever the pages hold: values to be widened, unreadable ones, fields that come and go, objects that are none."""
    numbered = iter(range(100))
    stored = [[{"id": next(numbered), **record} for record in page] for page in pages]
    stored = [[dict(reversed(record.items())) if at.draw(st.booleans()) else record for record in page] for page in stored]
    for field, value in odd:
        at.draw(st.sampled_from(at.draw(st.sampled_from(stored))))[field] = value
    by_column = _stored(tmp_path / "a.db", stored, kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Columns, "of", classmethod(lambda cls, records: None))
        assert _stored(tmp_path / "a.db", stored, kind) == by_column


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pages=st.lists(st.lists(st.tuples(st.integers(0, 9), RECORDS), min_size=1, max_size=4), min_size=2, max_size=6),
    odd=st.lists(ODD, max_size=2),
    at=st.data(),
)
def test_a_page_of_news_is_stored_as_if_it_had_been_looked_up(
    tmp_path: Path, pages: list[list[tuple[int, dict[str, Any]]]], odd: list[tuple[str, Any]], at: st.DataObject
) -> None:
    """Whether its records are news is tried, not asked: those that are not, and turn unreadable, stay what they were."""
    stored = [[{"id": number, **record} for number, record in page] for page in pages]
    for number, records in enumerate(stored):  # no page is sent twice
        records.append(records[-1] | {"id": 100 + number})
    for field, value in odd:
        at.draw(st.sampled_from(at.draw(st.sampled_from(stored))))[field] = value
    tried = _stored(tmp_path / "a.db", stored, Kind.PROFILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordStore, "_store_news", lambda *args, **options: False)
        assert _stored(tmp_path / "a.db", stored, Kind.PROFILE) == tried


def test_columns_are_of_records_that_are_alike() -> None:
    """Other fields, or objects that differ within, and there are none; in which order they came is all one."""
    assert Columns.of([{"a": 1, "b": 2}, {"a": 1, "c": 2}]) is None
    assert Columns.of([{"a": 1}, {"a": 1, "b": 2}]) is None
    assert Columns.of([{"a": 1}, {"b": 1}]) is None
    for records in ([{"a": 1, "b": 2}, {"b": 4, "a": 3}], [{"a": 1}, {"a": 3}], [{}, {}]):
        turned = Columns.of(records)
        assert turned is not None
        assert {name: tuple(record[name] for record in records) for name in records[0]} == turned.fields
    page = Columns.of([{"a": {"x": 1}, "b": {"x": 1}, "c": 1}, {"a": {"x": 2}, "b": None, "c": 2}])
    assert page is not None
    assert [1, 2] == list(page.at("a.x") or ())
    assert [1, None] == list(page.at("b.x") or ())
    assert page.at("d") is None
    assert page.at("d.x") is None
    assert page.flat() is None


def test_a_field_that_spells_another_one_within_is_not_flattened_by_column() -> None:
    page = Columns.of([{"a.x": 1, "a": {"x": 2}}])
    assert page is not None
    assert page.flat() is None


def test_what_all_records_share_is_parted_from_the_rest() -> None:
    """As long as they do, page after page; 1 is not True, and the zeros of floats have signs."""
    sharing = Sharing()
    columns = {"a": ("x", "x"), "b": (None, None), "c": ("x", "y"), "d": (1, True), "e": (0.0, -0.0), "f": (7, 7)}
    rest = {"c": ("x", "y"), "d": (1, True), "e": (0.0, -0.0)}
    assert ({"a": "x", "b": None, "f": 7}, rest) == sharing.part(columns)
    again = {"a": ("x", "z"), "b": (None, None), "c": ("y", "y")}
    assert ({"b": None}, {"a": ("x", "z"), "c": ("y", "y")}) == sharing.part(again)
    assert ({"b": None}, {"a": ("x", "x")}) == sharing.part({"a": ("x", "x"), "b": (None, None)})


def test_pages_that_share_other_values_are_stored_whole(tmp_path: Path) -> None:
    """What a page shared is another's own value, and nothing of an earlier one stays behind in a row that is stored again."""
    page = [{"id": n, "name": "a", "v": 1, "mail": f"p{n}@example.com"} for n in (1, 2)]
    later = [{"id": n, "name": "b" if n == 1 else None, "v": None, "mail": None} for n in (1, 2)]
    by_column = _stored(tmp_path / "a.db", [page, later], Kind.PROFILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Columns, "of", classmethod(lambda cls, records: None))
        assert _stored(tmp_path / "b.db", [page, later], Kind.PROFILE) == by_column
