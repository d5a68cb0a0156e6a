"""Pulling: pages into the store, each with its checkpoint, and every way in which a vendor's paging can go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.killed import KilledProcess
from support.pulled import CONTACT, NOON, World, contact, stream

from core.contract import BadRecord, Category, Deletions, Kind, Merge, Money, Page, Range, Row, Stream
from core.errors import AuthError, ConfigError, ProtocolError, QuotaExhausted, RejectedError, TransientError

DUMP = (
    "SELECT key, content_hash, changed_at, deleted_at, slice FROM crm__contacts ORDER BY key",
    "SELECT stream_id, ref, live, dirty, profile_id FROM subjects ORDER BY ref",
    "SELECT kind, value FROM identifiers ORDER BY 1, 2",
    "SELECT key, email, first_name, deleted_at FROM profile_rows ORDER BY key",
    "SELECT cursor, pending, resume, began, began_run, full, replacing FROM checkpoints ORDER BY slice",
    "SELECT live_count, accepted_count, held_since, error FROM streams",
    "SELECT key FROM vanished",
)


def crm(path: Path, *streams: Stream) -> World:
    return World(path, crm=(Category.CRM, streams))


def pages(*given: Page | Exception, **options: Any) -> Stream:
    """A stream of contacts that gives exactly these pages, whatever it is asked."""

    def pull(api: object, cursor: object, resume: object) -> Iterator[Page]:
        for page in given:
            if isinstance(page, Exception):
                raise page
            yield page

    return stream("contacts", (), pull=pull, **(dict(CONTACT) | options))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def people(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [contact(i, f"p{i}@example.com", **fields) for i in range(count)]


def test_stores_records_fields_rows_and_identifiers(path: Path) -> None:
    """One record is a landing row with its own fields, a canonical row, and two identifiers."""
    record = contact(1, " Ann@Example.COM ", name="Ann", address={"country": "Sverige"}, tags=["a"], score=7, big=2**70)
    world = crm(path, stream("contacts", [record], fields={"first_name": "name", "country": "address.country"}, **CONTACT))
    report = world.pull("crm").streams[0]

    assert (1, 1, 1, True) == (report.records, report.changed, report.pages, report.complete)
    row = world.one('SELECT name, "address.country", tags, score, big FROM crm__contacts')
    assert ("Ann", "Sverige", '["a"]', 7, str(2**70)) == row
    assert ("ann@example.com", "Ann", "SE") == world.one("SELECT email, first_name, country FROM profile_rows")
    world.resolve()
    assert [("crm.contact_id", "1"), ("email", "ann@example.com")] == world.rows(
        "SELECT kind, value FROM identifiers ORDER BY 1"
    )
    types = dict(world.rows("SELECT field, type FROM catalogue"))
    assert {"address.country": "text", "score": "integer", "tags": "json", "big": "text"}.items() <= types.items()


def test_an_unchanged_record_moves_nothing_but_seen_run(path: Path) -> None:
    """The second pull of the same records leaves every other column and table as it was; key order does not matter."""
    records = people(5, name="Ann")
    world = crm(
        path, stream("contacts", lambda: records, deletions=Deletions.ABSENCE, fields={"first_name": "name"}, **CONTACT)
    )
    world.pull("crm")
    world.resolve()
    before = [world.rows(sql) for sql in DUMP]
    changes = world.store.conn.total_changes
    world.later(days=1)
    records = [dict(reversed(record.items())) for record in records]
    report = world.pull("crm", full=True).streams[0]

    assert 0 == report.changed
    assert before == [world.rows(sql) for sql in DUMP]
    assert {2} == {row[0] for row in world.rows("SELECT seen_run FROM crm__contacts")}
    assert world.store.conn.total_changes - changes < 5 + 20  # the five rows, checkpoints and the stream


def test_a_changed_record_replaces_its_row_and_its_identifiers(path: Path) -> None:
    """The old address is nobody's any more, and a field that is no longer sent becomes empty."""
    records = [contact(1, "old@example.com", name="Ann", city="Lund")]
    world = crm(path, stream("contacts", lambda: records, fields={"first_name": "name"}, **CONTACT))
    world.everything()
    records = [contact(1, "new@example.com", name="Ann")]
    world.later(hours=1)
    world.everything()

    assert ("new@example.com", None) == world.one("SELECT email, city FROM crm__contacts")
    assert ["crm.contact_id", "email"] == [
        kind for (kind,) in world.rows(
            "SELECT i.kind FROM identifiers i JOIN subject_identifiers l ON l.identifier_id = i.id ORDER BY 1"
        )
    ]  # fmt: skip
    assert [(None,)] == world.rows("SELECT profile_id FROM identifiers WHERE value = 'old@example.com'")
    assert "new@example.com" == world.one("SELECT email FROM profiles")


def test_widens_a_column_whose_type_changes_and_says_so(path: Path) -> None:
    """Values that were stored before, in earlier pages and in the same page, get the wider type too."""
    values: list[object] = [1, 2, 3, "many", True]
    world = crm(path, stream("contacts", [contact(i, seats=v) for i, v in enumerate(values)], **CONTACT))
    report = world.pull("crm").streams[0]

    assert ["1", "2", "3", "many", "true"] == [v for (v,) in world.rows("SELECT seats FROM crm__contacts ORDER BY key")]
    assert ("seats: integer became text",) == report.notes
    assert ("text", True) == world.one("SELECT type, changed_at IS NOT NULL FROM catalogue WHERE field = 'seats'")


def test_names_that_clash_get_a_suffix(path: Path) -> None:
    """By case, or with a column of ours; the catalogue keeps the true names."""
    world = crm(path, stream("contacts", [{"id": "1", "Name": "a", "name": "b", "deleted_at": "never", 'x"y': 1}], **CONTACT))
    world.pull("crm")

    columns = dict(world.rows("SELECT field, column_name FROM catalogue"))
    assert {"Name": "Name", "name": "name_2", "deleted_at": "deleted_at_2", 'x"y': 'x"y', "id": "id"} == columns
    assert ("a", "b", "never", 1) == world.one('SELECT "Name", name_2, deleted_at_2, "x""y" FROM crm__contacts')


def test_records_without_a_field_stay_when_the_first_field_comes(path: Path) -> None:
    """The table is made with the columns of its first record, but only while it holds none."""
    given = [Page([{"id": 1}]), Page([{"id": 2, "said": {"a": 1, "b": 2}}])]
    world = crm(path, pages(*given, columns=lambda record: record.get("said", {})))
    assert world.pull("crm").complete
    assert [("1", None, None), ("2", 1, 2)] == world.rows("SELECT key, a, b FROM crm__contacts ORDER BY key")


def test_notes_a_field_that_vanished_and_one_that_comes_back(path: Path) -> None:
    """After a full pull; a field that is sent as null is there."""
    records = [contact(1, name="Ann", city="Lund")]
    world = crm(path, stream("contacts", lambda: records, **CONTACT))
    world.pull("crm")
    records = [contact(1, name=None)]
    report = world.pull("crm", full=True).streams[0]

    assert ("city: no longer sent",) == report.notes
    assert [("city",)] == world.rows("SELECT field FROM catalogue WHERE missing_since IS NOT NULL")
    records = [contact(1, name=None, city="Umeå")]
    world.pull("crm")
    assert [] == world.rows("SELECT field FROM catalogue WHERE missing_since IS NOT NULL")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        pytest.param({"email": "x@example.com"}, "has no key", id="no key"),
        pytest.param({"id": "9", "born": "soon"}, "created_at: not a time", id="no time"),
        pytest.param({"id": "9", "name": "\ud800"}, "cannot be stored (UnicodeEncodeError)", id="lone surrogate"),
        pytest.param({"id": "9", "name": ["a"]}, "first_name: not a text", id="list for text"),
        pytest.param({"id": "9", "boom": 1}, "could not be read (ZeroDivisionError)", id="mapping fails"),
    ],
)
def test_a_bad_record_is_a_dead_letter_and_the_rest_goes_on(path: Path, record: dict[str, Any], reason: str) -> None:
    """Its reason is kept, its content is not; when it can be read again its letter goes."""
    records = [contact(1), record, contact(2)]
    fields = {"created_at": "born", "first_name": "name", "owner": lambda r: 1 // 0 if r.get("boom") else None}
    world = crm(path, stream("contacts", lambda: records, fields=fields, size=3, **CONTACT))
    report = world.pull("crm").streams[0]

    assert (True, 1) == (report.complete, report.bad)
    assert [("1",), ("2",)] == world.rows("SELECT key FROM crm__contacts ORDER BY 1")
    assert reason == world.one("SELECT reason FROM dead_letters")
    if record.get("id"):
        records[1] = contact(9)
        assert 0 == world.pull("crm").streams[0].bad
        assert [] == world.rows("SELECT reason FROM dead_letters")


def test_a_bad_record_is_news_once_for_each_reason(path: Path) -> None:
    """What nobody mends is told as known; once it could be read, or fails for another reason, it is news again."""
    records = [contact(1, born="soon")]
    world = crm(path, stream("contacts", lambda: records, fields={"created_at": "born", "first_name": "name"}, **CONTACT))
    seen = []
    for born, name in (("soon", "A"), ("late", "B"), ("2025-01-01", "C"), ("soon", "D"), ("2025-01-01", ["E"])):
        records = [contact(1, born=born, name=name)]
        report = world.pull("crm").streams[0]
        seen.append((report.bad, report.known_bad))
    assert [(1, 0), (1, 1), (0, 0), (1, 0), (1, 0)] == seen


def test_a_record_that_turns_bad_is_still_there(path: Path) -> None:
    """What was stored of it stays, and a full pull does not take it for gone."""
    records = [contact(1, born="2025-01-01")]
    world = crm(
        path, stream("contacts", lambda: records, fields={"created_at": "born"}, deletions=Deletions.ABSENCE, **CONTACT)
    )
    world.pull("crm")
    records = [contact(1, born="soon")]
    report = world.pull("crm", full=True).streams[0]

    assert (1, 0, 0) == (report.bad, report.deleted, report.changed)
    assert "2025-01-01" == world.one("SELECT born FROM crm__contacts WHERE deleted_at IS NULL")


@pytest.mark.parametrize("known", [True, False], ids=["by its key", "as any"])
def test_who_cannot_be_read_is_not_gone_for_that(path: Path, known: bool) -> None:
    """A full pull that missed them would delete them: one where the key is known, else whoever was not seen."""
    found: list[Any] = []
    unreadable = contact(1, name="\ud800") if known else {"name": "no key"}
    all_there, fewer = [contact(1), contact(2), contact(3)], [unreadable, contact(2)]
    world = crm(path, asked(found, [Page(all_there)], [Page(fewer)], [Page([contact(2)])], deletions=Deletions.ABSENCE))
    world.pull("crm")
    report = world.pull("crm", full=True).streams[0]
    live = "SELECT key FROM crm__contacts WHERE deleted_at IS NULL ORDER BY 1"

    assert (1, 1 if known else 0) == (report.bad, report.deleted)
    assert [("1",), ("2",), *([] if known else [("3",)])] == world.rows(live)
    assert ([] if known else ["a row that names no key may be any that is missed, so none has vanished"]) == [*report.notes]
    assert (1 if known else 2) == world.pull("crm", full=True).streams[0].deleted, "now nothing is unreadable"
    assert [("2",)] == world.rows(live)


def test_who_could_not_be_read_before_a_kill_is_not_gone_after_it(path: Path) -> None:
    """The pull goes on behind the page that had them."""
    found: list[Any] = []
    first = Page([{"name": "no key"}, contact(2)], resume="page 2")
    broken, rest = [first, TransientError("gone")], [Page([contact(3)])]
    world = crm(path, asked(found, [Page([contact(1), contact(2), contact(3)])], broken, rest, deletions=Deletions.ABSENCE))
    world.pull("crm")
    world.later(hours=24 * 8)
    world.pull("crm")
    assert world.pull("crm").complete
    assert [(None, None), (None, None), (None, "page 2")] == found
    assert 3 == world.one("SELECT count(*) FROM crm__contacts WHERE deleted_at IS NULL")


def test_bad_records_that_the_connector_found_are_buried(path: Path) -> None:
    """`Page.bad` is for connectors that read lines themselves."""
    world = crm(path, pages(Page([contact(1)], bad=[BadRecord("accounts.csv:17", "one column too many")])))
    assert 1 == world.pull("crm").streams[0].bad
    assert ("accounts.csv:17", "one column too many") == world.one("SELECT key, reason FROM dead_letters")


# --- cursors and checkpoints


def asked(found: list[Any], *given: list[Page | Exception], **options: Any) -> Stream:
    """A stream that notes what it is asked with and answers with one list of pages after another."""
    turns = iter(given)

    def pull(api: object, cursor: object, resume: object) -> Iterator[Page]:
        found.append((cursor, resume))
        for page in next(turns):
            if isinstance(page, Exception):
                raise page
            yield page

    return stream("contacts", (), pull=pull, **(dict(CONTACT) | options))


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_an_ascending_cursor_moves_with_each_page(path: Path) -> None:
    """What breaks after a page is asked for from that page on, less the lookback."""
    found: list[Any] = []
    first = [Page([contact(1)], cursor=at(-9)), Page([contact(2)], cursor=at(-8)), TransientError("gone")]
    world = crm(path, asked(found, first, [Page([])], order="asc", lookback=timedelta(minutes=1)))
    report = world.pull("crm").streams[0]

    assert isinstance(report.error, TransientError)
    assert "gone" in world.one("SELECT error FROM streams")
    assert world.pull("crm").complete
    assert [(None, None), (at(-9), None)] == found
    assert (None, None) == world.one("SELECT error, began_run FROM streams, checkpoints")


def test_an_unordered_cursor_moves_only_at_the_clean_end(path: Path) -> None:
    """A newest-first vendor that dies after a page loses nothing; a clean end stores the largest."""
    found: list[Any] = []
    pages_ = [Page([contact(1)], cursor=at(-1)), Page([contact(2)], cursor=at(-5))]
    world = crm(path, asked(found, [pages_[0], TransientError("gone")], pages_, [Page([])]))
    world.pull("crm")
    world.pull("crm")
    world.pull("crm")
    assert [(None, None), (None, None), (at(-1), None)] == found


def test_a_cursor_in_the_future_is_clamped(path: Path) -> None:
    """One record dated in the year 3000 must not hide all that come after it."""
    for order in ("asc", "any"):
        found: list[Any] = []
        distant = datetime(3000, 1, 1, tzinfo=UTC)
        store = path.with_name(order)
        world = crm(store, asked(found, [Page([contact(1, at="3000-01-01")], cursor=distant)], [Page([])], order=order))
        world.pull("crm")
        world.later(hours=1)
        world.pull("crm")
        assert [(None, None), (NOON, None)] == found


def test_an_unordered_cursor_does_not_pass_the_start_of_its_pull(path: Path) -> None:
    """A record changed after its page was read, while the pull went on, is asked for again."""
    found: list[Any] = []
    world = crm(path)

    def pull(api: object, cursor: object, resume: object) -> Iterator[Page]:
        found.append(cursor)
        yield Page([contact(1)], cursor=at(-1))
        world.later(minutes=10)
        yield Page([contact(2)])
        yield Page([contact(3)], cursor=at(5))

    world.connect("crm", Category.CRM, [stream("contacts", (), pull=pull, **CONTACT)])
    world.pull("crm")
    world.pull("crm")
    assert [None, NOON] == found


def test_a_string_cursor_comes_back_untouched(path: Path) -> None:
    """Even one that looks like a time or like JSON."""
    found: list[Any] = []
    world = crm(path, asked(found, [Page([contact(1)], cursor='{"t": 5}')], [Page([])], lookback=timedelta(hours=1)))
    world.pull("crm")
    world.pull("crm")
    assert [(None, None), ('{"t": 5}', None)] == found


def test_a_broken_pull_resumes_with_the_cursor_that_it_began_with(path: Path) -> None:
    """Also where the cursor has moved since, and even when it is started by an empty page with a job's id."""
    found: list[Any] = []
    turns: list[list[Page | Exception]] = [
        [Page([contact(1)], cursor=at(-9))],
        [Page([], resume="job 7"), TransientError("gone")],
        [Page([contact(2)], cursor=at(-4), resume="page 2"), TransientError("gone")],
        [Page([contact(3)], cursor=at(-3))],
        [Page([])],
    ]
    world = crm(path, asked(found, *turns, order="asc"))
    for _ in turns:
        world.pull("crm")
    assert [(None, None), (at(-9), None), (at(-9), "job 7"), (at(-9), "page 2"), (at(-3), None)] == found


def test_a_pull_with_a_clock_that_was_ahead_is_followed_by_a_full_one(path: Path) -> None:
    """Its cursor is where the clock was, and what changed until now would never be asked for."""
    found: list[Any] = []
    turns = [[Page([contact(1)], cursor=at(0))], [Page([], cursor=at(300))], [Page([contact(1)])], [Page([])]]
    world = crm(path, asked(found, *turns))
    world.pull("crm")
    world.later(minutes=300)
    world.pull("crm")
    world.later(minutes=-240)
    world.pull("crm")
    world.pull("crm")
    assert [None, at(0), None] == [cursor for cursor, _ in found][:3]
    assert found[3] != (None, None), "and that once"


def test_a_pull_that_was_broken_off_knows_at_its_end_what_changed_meanwhile(path: Path) -> None:
    """
    The token of a broken pull leads to what there was when it began.

    Called complete as it is, somebody who said no since would still be pushed to.
    """
    people = {"1": "stays", "2": "stays", "3": "stays"}

    def pull(api: object, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
        if resume is None and cursor is None:
            yield Page([contact(1, name="stays")], cursor=at(-1), resume="the people of yesterday, from the second on")
            raise TransientError("gone")
        if resume is not None:
            yield Page([contact(2, name="stays"), contact(3, name="stays")], cursor=at(-1))
        else:
            yield Page([contact(id_, name=name) for id_, name in people.items() if name != "stays"], cursor=world.at)

    world = crm(path, stream("contacts", (), pull=pull, **(dict(CONTACT) | {"fields": {"first_name": "name"}})))
    assert not world.pull("crm").complete
    people["3"] = "left"
    world.later(hours=5)

    assert world.pull("crm").complete
    assert [("1", "stays"), ("2", "stays"), ("3", "left")] == world.rows("SELECT key, name FROM crm__contacts ORDER BY key")


@pytest.mark.parametrize("away", [timedelta(minutes=5), timedelta(days=2), timedelta(days=8)], ids=str)
def test_a_pull_that_went_on_after_long_is_followed_by_another(path: Path, away: timedelta) -> None:
    """What it read before it broke is as old as that: a list made of it would be last week's, and say that it is today's."""
    found: list[Any] = []
    first, changed = contact(1, "ann@example.com"), contact(1, "ann@new.example.com")
    world = crm(
        path,
        asked(
            found,
            [Page([first], cursor=at(-1), resume="page 2"), TransientError("gone")],
            [Page([contact(2)], cursor=at(-1))],
            [Page([changed], cursor=at(-1))],
            deletions=Deletions.ABSENCE,
        ),
    )
    world.pull("crm")
    world.at += away
    assert world.pull("crm").complete

    # by absence alone it can be told what has gone since, which a week after the beginning is due
    followed = (at(-1), None) if away < timedelta(days=7) else (None, None)
    assert [(None, None), (None, "page 2"), followed] == found
    assert "ann@new.example.com" == world.one("SELECT email FROM profile_rows WHERE key = '1'")


@pytest.mark.parametrize(("away", "again"), [(timedelta(minutes=5), []), (timedelta(hours=2), [(None, None)])], ids=str)
def test_what_cannot_be_asked_for_changes_is_read_again_after_an_hour(path: Path, away: timedelta, again: list[Any]) -> None:
    """A whole pull more is much for a short break, and little for a list made of yesterday's people."""
    found: list[Any] = []
    pages = [
        [Page([contact(1)], resume="page 2"), TransientError("gone")],
        [Page([contact(2)])],
        [Page([contact(1), contact(2)])],
    ]
    world = crm(path, asked(found, *pages))
    world.pull("crm")
    world.at += away

    assert world.pull("crm").complete
    assert [(None, None), (None, "page 2"), *again] == found


def test_a_pull_that_takes_several_days_of_a_quota_is_complete_at_its_end(path: Path) -> None:
    """What it asks for besides may run into the quota again: the stream has had its clean end by then."""
    found: list[Any] = []
    tomorrow = QuotaExhausted("no more today", resume_at=at(60 * 24))
    first = Page([contact(1)], resume="page 2")
    world = crm(path, asked(found, [first, tomorrow], [Page([contact(2)])], [first, tomorrow]))
    with pytest.raises(QuotaExhausted):
        world.pull("crm")
    world.later(hours=24)
    with pytest.raises(QuotaExhausted):
        world.pull("crm")

    assert [(None, None), (None, "page 2"), (None, None)] == found
    assert [(world.at.timestamp() * 1_000_000, None)] == world.rows("SELECT completed_at, error FROM streams")


def test_a_resume_token_that_is_refused_starts_the_slice_over(path: Path) -> None:
    """At once, with the cursor the pull began with; a refusal later on is an error like any other."""
    found: list[Any] = []
    turns: list[list[Page | Exception]] = [
        [Page([contact(1)], resume="a"), TransientError("gone")],
        [RejectedError("expired", status=410)],
        [Page([contact(1)]), Page([contact(2)])],
        [Page([contact(3)], resume="b"), RejectedError("no", status=400)],
    ]
    world = crm(path, asked(found, *turns))
    world.pull("crm")
    assert world.pull("crm").complete
    assert isinstance(world.pull("crm").streams[0].error, RejectedError)
    assert [(None, None), (None, "a"), (None, None), (None, None)] == found


@pytest.mark.parametrize(
    "given",
    [
        pytest.param([Page([contact(1)], resume="a"), Page([contact(2)], resume="a")], id="same token"),
        pytest.param([Page([contact(1)], resume="a"), Page([], resume="a")], id="empty page, same token"),
        pytest.param([Page([contact(1)], resume="a"), Page([contact(1)], resume="b")], id="same records, other token"),
        pytest.param(
            [Page([contact(1)], resume="a"), Page([contact(2)], resume="b"), Page([contact(3)], resume="a")], id="a circle"
        ),
    ],
)
def test_paging_that_goes_in_circles_stops_the_stream(path: Path, given: list[Page]) -> None:
    """A ProtocolError; the checkpoint stays at the last good page."""
    world = crm(path, pages(*given))
    report = world.pull("crm").streams[0]
    assert isinstance(report.error, ProtocolError)
    assert len(given) - 1 == report.pages
    assert given[-2].resume == world.one("SELECT resume FROM checkpoints")


def test_an_endless_chain_of_empty_pages_stops(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with a new token, so only their number tells."""
    monkeypatch.setattr("core.pulling.paging.MAX_EMPTY_PAGES", 10)

    def pull(api: object, cursor: object, resume: object) -> Iterator[Page]:
        for number in range(1000):
            yield Page([], resume=str(number))

    report = crm(path, stream("contacts", (), pull=pull, **CONTACT)).pull("crm").streams[0]
    assert isinstance(report.error, ProtocolError)
    assert 10 == report.pages


def test_what_a_connector_did_not_foresee_stops_its_stream_alone(path: Path) -> None:
    """A KeyError in a generator is an answer that nobody understands; the next stream is pulled."""
    world = crm(path, pages(Page([contact(1)]), KeyError("paging")), stream("others", [contact(5)], **CONTACT))
    report = world.pull("crm")
    assert [False, True] == [s.complete for s in report.streams]
    assert isinstance(report.streams[0].error, ProtocolError)
    assert "crm/contacts" in str(report.streams[0].error)
    assert [("1",)] == world.rows("SELECT key FROM crm__contacts")
    assert (None, False) == world.one("SELECT completed_at, error IS NULL FROM streams WHERE name = 'contacts'")


def test_an_auth_error_ends_the_connection(path: Path) -> None:
    """And stays in the store for `status`."""
    world = crm(path, pages(Page([contact(1)]), AuthError("revoked", status=401)), stream("others", [contact(5)], **CONTACT))
    with pytest.raises(AuthError):
        world.pull("crm")
    assert [("contacts", True), ("others", False)] == world.rows("SELECT name, error IS NOT NULL FROM streams ORDER BY 1")


def test_no_transaction_is_open_while_the_vendor_is_asked(path: Path) -> None:
    """Another process may write between two pages."""
    world = crm(path)
    states: list[bool] = []

    def pull(api: object, cursor: object, resume: object) -> Iterator[Page]:
        states.append(world.store.conn.in_transaction)
        yield Page([contact(1)])
        states.append(world.store.conn.in_transaction)

    world.connect("crm", Category.CRM, [stream("contacts", (), pull=pull, **CONTACT)])
    world.pull("crm")
    assert [False, False] == states


def test_the_lease_is_checked_in_each_transaction(path: Path) -> None:
    """What the check raises ends the pull with nothing of that page stored."""
    from core.errors import LeaseLost

    world = crm(path, stream("contacts", people(6), **CONTACT))
    calls = 0

    def check(conn: Any) -> None:
        nonlocal calls
        assert conn.in_transaction
        calls += 1
        if calls == 5:
            raise LeaseLost("somebody else pulls")

    with pytest.raises(LeaseLost):
        world.pull("crm", check=check)
    assert 4 == world.one("SELECT count(*) FROM crm__contacts")


class Vendor:
    """A list of (stamp, record), given oldest first by cursor or newest first, with tokens or without; dies on demand."""

    def __init__(self, path: Path, order: str, tokens: bool) -> None:
        self.rows: list[tuple[datetime, dict[str, Any]]] = []
        self.kill: int | None = None
        self.order, self.tokens = order, tokens
        options = dict(CONTACT) | {"fields": {"first_name": "name"}, "deletions": Deletions.ABSENCE, "order": order}
        self.world = crm(path, stream("contacts", (), pull=self.pull, **options))

    def pull(self, api: object, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
        rows = sorted((row for row in self.rows if cursor is None or row[0] >= cursor), key=lambda row: row[0])
        if self.order == "any":
            rows.reverse()
        at = int(resume or 0)
        for page in range(10):
            if self.kill == page:
                raise KilledProcess
            part = rows[at : at + 2]
            at += 2
            token = str(at) if self.tokens and at < len(rows) else None
            yield Page([record for _, record in part], cursor=max((stamp for stamp, _ in part), default=None), resume=token)
            if at >= len(rows):
                break
        if self.kill is not None:
            raise KilledProcess


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    count=st.integers(1, 9), changed=st.integers(0, 9), gone=st.integers(0, 3), order=st.sampled_from(["asc", "any"]),
    tokens=st.booleans(), full=st.booleans(), kills=st.lists(st.integers(0, 6), max_size=3),
)  # fmt: skip
def test_a_kill_at_any_page_then_a_resume_equals_an_uninterrupted_pull(
    tmp_path_factory: Any, count: int, changed: int, gone: int, order: str, tokens: bool, full: bool, kills: list[int]
) -> None:
    """Oldest first or in no order, with tokens or without, full or not, before a page or after the last."""
    folder = tmp_path_factory.mktemp("kill")
    straight, broken = Vendor(folder / "straight.db", order, tokens), Vendor(folder / "broken.db", order, tokens)
    first = [(NOON - timedelta(days=2, seconds=-i), contact(i, f"p{i}@example.com", name="a")) for i in range(count)]
    second = [(stamp, record) for stamp, record in first[gone:]]
    second += [(NOON - timedelta(days=1, seconds=-i), record | {"name": "b"}) for i, (_, record) in enumerate(second[:changed])]
    second = list({record["id"]: (stamp, record) for stamp, record in second}.values())
    for rows in (first, second):
        straight.rows = broken.rows = rows
        assert straight.world.pull("crm", full=full).complete
        for broken.kill in kills:
            with pytest.raises(KilledProcess):
                broken.world.pull("crm", full=full)
        broken.kill = None
        assert broken.world.pull("crm", full=full).complete
        for world in (straight.world, broken.world):
            world.resolve()
            world.later(hours=1)
    for sql in DUMP:
        assert straight.world.rows(sql) == broken.world.rows(sql)
    for world in (straight.world, broken.world):
        world.store.close()


class SlicedVendor:
    """Lists of contacts, each a slice given in pages with tokens, its content its cursor; dies before a page on demand."""

    def __init__(self, path: Path) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[tuple[str, bool, str | None]] = []
        self.left: int | None = None
        options = dict(CONTACT) | {"fields": {"first_name": "name"}, "deletions": Deletions.ABSENCE}
        self.world = crm(path, stream("contacts", (), pull=self.pull, slices=lambda api: list(self.lists), **options))

    def pull(self, api: object, cursor: str | None, resume: str | None, slice_: str) -> Iterator[Page]:
        rows, content = self.lists[slice_], repr(self.lists[slice_])
        self.asked.append((slice_, cursor is None, resume))
        at = int(resume or 0)
        while cursor != content and (at < len(rows) or at == 0):
            self.live()
            part, at = rows[at : at + 2], at + 2
            yield Page(part, resume=str(at) if at < len(rows) else None, whole=True)
        self.live()
        yield Page([], cursor=content)

    def live(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KilledProcess


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    turns=st.lists(
        st.fixed_dictionaries({}, optional={
            name: st.lists(st.tuples(st.integers(0, 6), st.sampled_from("xy")), max_size=5, unique_by=lambda pair: pair[0])
            for name in "abc"
        }), min_size=1, max_size=3),
    kills=st.lists(st.integers(0, 9), max_size=3), full=st.booleans(),
)  # fmt: skip
def test_a_kill_within_slices_then_a_resume_leaves_what_the_slices_have(
    tmp_path_factory: Any, turns: list[dict[str, list[tuple[int, str]]]], kills: list[int], full: bool
) -> None:
    """Whichever slice it hits, with keys that several slices share: live is what some slice has, and with its values."""
    folder = tmp_path_factory.mktemp("kill")
    straight, broken = SlicedVendor(folder / "straight.db"), SlicedVendor(folder / "broken.db")
    for turn in turns:
        lists = {slice_: [contact(i, f"p{i}@example.com", name=name) for i, name in rows] for slice_, rows in turn.items()}
        straight.lists = broken.lists = lists
        assert straight.world.pull("crm", full=full).complete
        for broken.left in kills:
            with suppress(KilledProcess):
                broken.world.pull("crm", full=full)
        broken.left = None
        assert broken.world.pull("crm", full=full).complete
        for world in (straight.world, broken.world):
            world.resolve()
            world.later(hours=1)
            live = {int(key) for (key,) in world.rows("SELECT key FROM crm__contacts WHERE deleted_at IS NULL")}
            assert live == {i for rows in turn.values() for i, _ in rows}
            said = {
                (int(key), name)
                for key, name in world.rows("SELECT key, first_name FROM profile_rows WHERE deleted_at IS NULL")
            }
            assert said <= {pair for rows in turn.values() for pair in rows}
    for world in (straight.world, broken.world):
        world.store.close()


def test_a_slice_broken_off_goes_on_with_its_token_and_the_others_do_not_start_over(path: Path) -> None:
    """The one before it is done; the one after it has not begun."""
    vendor = SlicedVendor(path)
    vendor.lists = {"a": people(3), "b": [contact(i) for i in range(10, 15)], "c": [contact(20)]}
    vendor.left = 4  # a: two pages and its end; b: one page
    with pytest.raises(KilledProcess):
        vendor.world.pull("crm")
    vendor.left, vendor.asked = None, []
    assert vendor.world.pull("crm").complete
    assert [("a", False, None), ("b", True, "2"), ("c", True, None)] == vendor.asked
    assert (9, 0) == vendor.world.one("SELECT live_count, (SELECT count(*) FROM vanished) FROM streams")


def test_a_continued_full_pull_keeps_what_it_saw_before_the_kill(path: Path) -> None:
    """Only rows unseen since the pull began have vanished, not those unseen since it went on."""
    records = people(30)
    turns: list[list[Page | Exception]] = [
        [Page(records)],
        [Page(records[:20], resume="20"), TransientError("gone")],
        [Page(records[20:29])],
    ]
    world = crm(path, asked([], *turns, deletions=Deletions.ABSENCE))
    world.pull("crm")
    world.pull("crm", full=True)
    assert 1 == world.pull("crm").streams[0].deleted
    assert [("29",)] == world.rows("SELECT key FROM crm__contacts WHERE deleted_at IS NOT NULL")


@pytest.mark.parametrize("full", [True, False])
def test_who_asks_for_everything_is_given_it_from_the_beginning(path: Path, full: bool) -> None:
    """A source returned a part of its people, and broke off: to go on from there would call the others gone."""
    records = people(30)
    turns: list[list[Page | Exception]] = [
        [Page(records)],
        [Page(records[:8], resume="20"), TransientError("gone")],
        [Page(records[20:] if not full else records)],
    ]
    wanted: list[tuple[Any, ...]] = []
    world = crm(path, asked(wanted, *turns, deletions=Deletions.ABSENCE))
    world.pull("crm")
    world.pull("crm", full=True)
    report = world.pull("crm", full=full).streams[0]

    assert [None, None, None if full else "20"] == [asked_for[-1] for asked_for in wanted]
    assert (0 if full else 12) == report.deleted + report.held


def test_a_broken_full_pull_by_cursor_goes_on_from_where_it_was(path: Path) -> None:
    """Not from where the last pull ended: what lies between would count as gone."""
    vendor = Vendor(path, "asc", tokens=False)
    vendor.rows = [(NOON - timedelta(days=2, seconds=-i), contact(i, f"p{i}@example.com")) for i in range(8)]
    vendor.world.pull("crm")
    vendor.kill = 1
    with pytest.raises(KilledProcess):
        vendor.world.pull("crm", full=True)
    vendor.kill = None
    assert 0 == vendor.world.pull("crm").streams[0].deleted
    assert 8 == vendor.world.one("SELECT live_count FROM streams")
    assert 0 == vendor.world.one("SELECT count(*) FROM crm__contacts WHERE seen_run < 2")


# --- events


def visit(id_: object, email: str | None, **fields: Any) -> dict[str, Any]:
    return {"id": str(id_), "email": email, "event": "Page Viewed", "at": "2026-03-01T10:00:00Z", **fields}


VISITS: dict[str, Any] = {"identifiers": {"anon": "anon", "email": "email"}, "fields": {"name": "event", "time": "at"}}


def test_events_have_properties_and_share_subjects(path: Path) -> None:
    """The columns that are not mapped are properties; the same identifiers are one subject; a repeat falls on its row."""
    events = [visit(1, "a@example.com", path="/a", ms=3), visit(2, "A@example.com", path="/b", ms=2.5), visit(3, None)]
    world = World(path, web=(Category.ANALYTICS, [stream("visits", lambda: events, Kind.EVENT, size=10, **VISITS)]))
    assert 3 == world.pull("web").streams[0].changed
    assert 0 == world.pull("web").streams[0].changed
    events[0] = visit(1, "b@example.com", path="/c")
    assert 1 == world.pull("web").streams[0].changed

    assert [("1", '{"email":"b@example.com","path":"/c"}')] == world.rows("SELECT key, properties FROM events WHERE key = '1'")
    assert 3 == world.one("SELECT count(*) FROM events")
    assert 2 == world.one("SELECT count(*) FROM subjects")
    assert 3 == world.one("SELECT live_count FROM streams")
    assert [("email", "text"), ("ms", "number"), ("path", "text")] == world.rows(
        "SELECT property, type FROM event_properties ORDER BY 1"
    )
    assert [("event", "Page Viewed")] == world.rows("SELECT what, name FROM event_sources")


def test_event_times_are_never_clamped(path: Path) -> None:
    """An event of the year 3000 keeps its time; segments see nothing after `as_of` anyway."""
    events = [visit(1, "a@example.com", at="3000-01-01T00:00:00Z"), visit(2, "a@example.com", at="2026-13-01")]
    world = World(path, web=(Category.ANALYTICS, [stream("visits", events, Kind.EVENT, **VISITS)]))
    assert 1 == world.pull("web").streams[0].bad
    assert datetime(3000, 1, 1, tzinfo=UTC).timestamp() * 1e6 == world.one("SELECT time FROM events")


@pytest.mark.parametrize("cut", [None, 1, 2])
def test_a_range_is_replaced_by_what_came_for_it(path: Path, cut: int | None) -> None:
    """Events in the range that did not come again are gone, those outside stay; a kill in between changes nothing."""
    day1, day2 = (Range(datetime(2026, 3, d, tzinfo=UTC), datetime(2026, 3, d + 1, tzinfo=UTC)) for d in (1, 2))
    old = [visit(i, "a@example.com", at=f"2026-03-0{1 + i % 3}T01:00:00Z") for i in range(9)]
    new: list[Page | Exception] = [
        Page([old[0], visit(90, "a@example.com")], replaces=day1, resume="1"),
        Page([old[3]], replaces=day1, resume="2"),
        Page([old[1]], replaces=day2),
    ]
    turns: list[list[Page | Exception]] = [[Page(old)]]
    turns += [new] if cut is None else [[*new[:cut], TransientError("gone")], new[cut:]]
    found: list[Any] = []
    options = VISITS | {"kind": Kind.EVENT}
    world = World(path, web=(Category.ANALYTICS, [asked_events(found, turns, options)]))
    for _ in turns:
        world.pull("web")
    assert ["0", "1", "2", "3", "5", "8", "90"] == [k for (k,) in world.rows("SELECT key FROM events ORDER BY key")]


@pytest.mark.parametrize(("came", "held"), [(9, 31), (20, 0)], ids=["more than half", "half"])
def test_a_range_of_which_most_did_not_come_again_is_asked_about(path: Path, came: int, held: int) -> None:
    """An export that ends well and has lost most of a day: few of all events, and all who did something that day."""
    day = Range(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
    before = [visit(i, "a@example.com", at="2026-01-01T01:00:00Z") for i in range(100, 400)]
    of_day = [visit(i, "a@example.com", at="2026-03-01T01:00:00Z") for i in range(40)]
    turns: list[list[Page | Exception]] = [[Page(before), Page(of_day)], *([[Page(of_day[:came], replaces=day)]] * 2)]
    options = VISITS | {"kind": Kind.EVENT}
    world = World(path, web=(Category.ANALYTICS, [asked_events([], turns, options)]))
    world.pull("web")
    for _ in range(2):
        report = world.pull("web").streams[0]
    assert (held, 340 if held else 320) == (report.held, world.one("SELECT count(*) FROM events"))
    assert bool(held) is (world.one("SELECT held_since FROM streams") is not None)


def asked_events(found: list[Any], turns: list[list[Page | Exception]], options: dict[str, Any]) -> Stream:
    made = asked(found, *turns)
    return stream("visits", (), options["kind"], pull=made.pull, identifiers=options["identifiers"], fields=options["fields"])


# --- rows of several kinds


def test_rows_of_one_record_follow_it(path: Path) -> None:
    """Rows that a record no longer gives are removed; amounts share the row's currency; changes are history."""
    record = {"id": "s1", "customer": "c1", "items": [(500, "pro"), (200, "seats")]}

    def rows(record: Any) -> Iterator[Row]:
        for number, (amount, plan) in enumerate(record["items"]):
            money = Money(amount, "EUR")
            yield Row(
                Kind.SUBSCRIPTION, f"{record['id']}/{number}", {"plan": plan, "amount": money, "mrr": money, "status": "active"}
            )

    records = [record]
    options: dict[str, Any] = {"identifiers": {"customer_id": "customer"}, "rows": rows}
    world = World(path, billing=(Category.BILLING, [stream("subscriptions", lambda: records, Kind.SUBSCRIPTION, **options)]))
    world.pull("billing")
    assert [("pro", 500, 500, "EUR"), ("seats", 200, 200, "EUR")] == world.rows(
        "SELECT plan, amount, mrr, currency FROM subscriptions ORDER BY key"
    )
    world.later(days=1)
    records[0] = record | {"items": [(900, "pro")]}
    world.pull("billing")
    assert [("pro", 900)] == world.rows("SELECT plan, mrr FROM subscriptions")
    assert [500, 900] == [
        v for (v,) in world.rows("SELECT value FROM field_history WHERE field = 'mrr' AND of_id = 1 ORDER BY from_at")
    ]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"amount": Money(1, "EUR"), "mrr": Money(1, "USD")}, "mrr: another currency than the row's"),
        ({"amount": Money(1, "EUR"), "currency": "usd"}, "currency: another one than the amount's"),
        ({"amount": 5}, "amount: not an amount with its currency"),
        ({"quantity": "many"}, "quantity: not a number"),
        ({"colour": "red"}, "colour: no column of a subscription"),
    ],
)
def test_amounts_and_columns_that_make_no_sense_are_bad(path: Path, values: dict[str, object], reason: str) -> None:
    """Never a guess, and never half a record."""
    options: dict[str, Any] = {"identifiers": {}, "rows": lambda record: [Row(Kind.SUBSCRIPTION, "1", values)]}
    world = World(path, billing=(Category.BILLING, [stream("subscriptions", [{"id": "1"}], Kind.SUBSCRIPTION, **options)]))
    assert 1 == world.pull("billing").streams[0].bad
    assert reason == world.one("SELECT reason FROM dead_letters")
    assert [] == world.rows("SELECT * FROM billing__subscriptions")


def test_answers_and_consents(path: Path) -> None:
    """Surveys and questions are catalogued; a consent whose state nobody knows is a bad record."""

    def rows(record: Any) -> Iterator[Row]:
        yield Row(Kind.ANSWER, record["id"], {"survey": "NPS", "question": "Score", "kind": "score", "number": record["score"]})
        yield Row(Kind.CONSENT, record["id"], {"state": record["state"], "at": "2026-01-01"})

    records = [{"id": "1", "score": 9, "state": "granted"}, {"id": "2", "score": 1, "state": "perhaps"}]
    world = World(path, ask=(Category.SURVEY, [stream("answers", records, Kind.ANSWER, rows=rows)]))
    assert 1 == world.pull("ask").streams[0].bad
    assert [("question", "NPS\x1fScore"), ("survey", "NPS")] == world.rows("SELECT what, name FROM event_sources ORDER BY 1")
    assert [("email", "granted")] == world.rows("SELECT channel, state FROM consents")
    assert [(9.0,)] == world.rows("SELECT number FROM answers")


def test_a_stream_that_is_not_registered_is_a_config_error(path: Path) -> None:
    """Rather than rows that nothing knows of."""
    world = crm(path, pages(Page([])))
    world.connectors["crm"].module.STREAMS["late"] = stream("late", [], **CONTACT)
    with pytest.raises(ConfigError):
        world.pull("crm", streams=["late"])


def test_merges_are_followed(path: Path) -> None:
    """The loser is gone without asking a guard; what names it names the winner, in whatever order the two are told."""
    for number, order in enumerate(([contact(1, "a@example.com"), contact(2, "b@example.com")], [contact(2, "b@example.com")])):
        merge = Page([], merged=[Merge("1", "2")])
        given = [merge, Page(order)] if number else [Page(order), merge]
        deal = {"id": "d", "contact": "1"}
        deals = stream("deals", [deal], Kind.DEAL, identifiers={"contact_id": "contact"})
        world = crm(path.with_name(str(number)), pages(*given), deals)
        world.everything()
        assert {frozenset({"crm.contacts:2", "crm.deals:d"})} == world.groups()
        assert ("b@example.com",) == world.rows("SELECT email FROM profiles WHERE live = 1")[0]
        assert 1 == world.one("SELECT live_count FROM streams WHERE name = 'contacts'")


def test_tickets_land(path: Path) -> None:
    """The kind that no shipped connector brings yet: its columns are typed like any other's."""
    opened = datetime(2026, 3, 1, 8, tzinfo=UTC)
    ticket = {
        "id": 1,
        "email": "a@example.com",
        "state": "open",
        "urgency": "high",
        "stars": "4.5",
        "opened": opened.isoformat(),
    }
    made = stream(
        "tickets", [ticket], Kind.TICKET, key="id", identifiers={"email": "email"},
        fields={"status": "state", "priority": "urgency", "score": "stars", "opened_at": "opened"},
    )  # fmt: skip
    world = World(path, desk=(Category.SUPPORT, [made]))

    assert world.pull("desk").complete
    row = world.store.conn.execute("SELECT status, priority, score, opened_at, closed_at FROM tickets").fetchone()
    assert ("open", "high", 4.5, int(opened.timestamp() * 1e6), None) == row
