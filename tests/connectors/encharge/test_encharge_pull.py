"""The streams: everybody by offset, changes by a sort that may not be heeded, consent in a field of whatever name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from encharge_rows import BASE, SETTINGS, Payload
from pyroaring import BitMap
from support.connected import Connected
from support.members import many, people

from core.contract import Kind
from core.errors import ProtocolError
from core.store.consents import denied


def records(stream: Any, api: Any, cursor: Any = None, resume: Any = None) -> list[Any]:
    """Return all records of a pull."""
    return [record for page in stream.pull(api, cursor, resume) for record in page.records]


def consent(stream: Any, record: Any) -> str:
    """Return the state that a record says."""
    (state,) = (row.values["state"] for row in stream.rows(record) if row.kind is Kind.CONSENT)
    return str(state)


def asked(api: Any) -> list[dict[str, str]]:
    """Return the queries for everybody so far."""
    return [dict(query) for _, path, query, _ in api.recorder.seen if path.endswith("/people/all")]


def test_people_as_recorded(respx_mock: Any, fake_api: Any, streams: Any) -> None:
    """Quirks 2, 5 and 6: tags split, custom fields flat, empty texts missing; what they said to e-mail as a consent."""
    respx_mock.get(f"{BASE}/fields").respond(**Payload("fields").kwargs)
    whole = Payload("people_all").body["people"]
    answers = [httpx.Response(200, json={"people": rows}) for rows in (whole, whole[-1:])]
    respx_mock.get(url__startswith=f"{BASE}/people/all").mock(side_effect=answers)
    ann, bo = records(streams["people"], fake_api("encharge", SETTINGS))
    profile = next(iter(streams["people"].rows(ann))).values

    assert {
        "email": "ann@example.com", "first_name": "Ann", "last_name": "Lee", "phone": None, "country": None,
        "created_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    } == profile  # fmt: skip
    assert (["vip", "trial"], [], None, "pro") == (ann["tags"], bo["tags"], ann["plan"], bo["plan"])
    assert ["granted", "denied"] == [consent(streams["people"], record) for record in (ann, bo)]


@pytest.mark.parametrize("flat", [True, False])
def test_custom_fields_flat_or_under_data(make_mail: Any, streams: Any, flat: bool) -> None:
    """Quirk 6: stored alike."""
    api = make_mail(flat=flat)
    api.sandbox.load("members", people("ann@example.com", status="unsubscribed"))
    (record,) = records(streams["people"], api)

    assert ("pro", "denied") == (record["plan"], consent(streams["people"], record))
    assert "data" not in record


@pytest.mark.parametrize(
    "field", [("unsubscribed", "Unsubscribed"), ("isUnsub", "unsubscribed "), ("Unsubscribed", "Opted out")]
)
def test_consent_is_in_a_field_of_whatever_name(make_mail: Any, streams: Any, field: tuple[str, str]) -> None:
    """Quirk 7: by its title or by its name."""
    api = make_mail(unsubscribed=field)
    api.sandbox.load("members", [*people("ann@example.com", status="unsubscribed"), *people("bo@example.com")])
    said = {record["email"]: consent(streams["people"], record) for record in records(streams["people"], api)}

    assert {"ann@example.com": "denied", "bo@example.com": "granted"} == said


def test_the_field_can_be_named(make_mail: Any, streams: Any) -> None:
    """Quirk 7: where no title helps."""
    api = make_mail(unsubscribed=("no_mail", "No mail please"), settings={"unsubscribed_field": "no_mail"})
    api.sandbox.load("members", people("ann@example.com", status="unsubscribed"))

    assert ["denied"] == [consent(streams["people"], record) for record in records(streams["people"], api)]
    assert 0 == api.sandbox.requests["GET /v1/fields"]


def test_without_a_field_nobody_s_consent_is_told(make_mail: Any, streams: Any, tag: Any) -> None:
    """Quirk 7: neither a pull nor a push goes on."""
    api = make_mail(unsubscribed=None)
    api.sandbox.load("members", people("ann@example.com"))
    with pytest.raises(ProtocolError, match="unsubscribed_field"):
        records(streams["people"], api)
    with pytest.raises(ProtocolError, match="unsubscribed_field"):
        tag.apply(api, tag.create(api, "VIP", []), [], [])


def test_a_list_that_does_not_tell_leaves_it_open(make_mail: Any, streams: Any) -> None:
    """Quirk 7: neither yes nor no; the push asks for it by name."""
    api = make_mail(tells_all=False)
    api.sandbox.load("members", people("ann@example.com", status="unsubscribed"))

    assert ["unknown"] == [consent(streams["people"], record) for record in records(streams["people"], api)]


@pytest.mark.parametrize("caps_at", [1000, 30])
@pytest.mark.parametrize("count", [0, 60, 100, 230])
def test_everybody_comes_whatever_a_page_holds(make_mail: Any, streams: Any, caps_at: int, count: int) -> None:
    """Quirk 3: there is no total, and a short page is no end."""
    api = make_mail(caps_at=caps_at)
    api.sandbox.load("members", many(count))
    got = [record["email"] for record in records(streams["people"], api)]

    assert count == len(got) == len(set(got))


def test_nobody_is_skipped_when_people_vanish_meanwhile(mail: Any, streams: Any) -> None:
    """Quirk 3: those behind move up; the last row of the page before is not where it was."""
    mail.sandbox.load("members", many(250))
    pages = streams["people"].pull(mail, None, None)
    got = {record["email"] for record in next(pages).records}
    mail.sandbox.delete("members", [f"p{i:04}@example.com" for i in range(40)])
    got |= {record["email"] for page in pages for record in page.records}

    assert {f"p{i:04}@example.com" for i in range(250)} == got


def test_a_plain_offset_would_skip(mail: Any) -> None:
    """Quirk 3, the harm."""
    mail.sandbox.load("members", many(150))
    first = mail.get("/people/all", limit=100, offset=0, ignoreAnonymous=True)["people"]
    mail.sandbox.delete("members", ["p0000@example.com"])
    second = mail.get("/people/all", limit=100, offset=100, ignoreAnonymous=True)["people"]

    assert 149 == len(first) + len(second)


def test_people_who_come_meanwhile_push_nobody_out(mail: Any, streams: Any, clock: Any) -> None:
    """Quirk 3: newest first, each change moves somebody to the front and all others down, by a page and more even."""
    mail.sandbox.load("members", many(250))
    clock.advance(timedelta(hours=1))
    pages = streams["people"].pull(mail, clock() - timedelta(hours=2), None)
    got = {record["email"] for record in next(pages).records}
    clock.advance(timedelta(minutes=1))
    mail.sandbox.load("members", people(*(f"n{i:04}@example.com" for i in range(150))))
    got |= {record["email"] for page in pages for record in page.records}

    assert {f"p{i:04}@example.com" for i in range(250)} <= got


def test_an_offset_that_is_ignored_is_seen(respx_mock: Any, fake_api: Any, streams: Any) -> None:
    """Quirk 3: the first page for ever."""
    respx_mock.get(f"{BASE}/fields").respond(**Payload("fields").kwargs)
    respx_mock.get(url__startswith=f"{BASE}/people/all").respond(**Payload("people_all").kwargs)

    with pytest.raises(ProtocolError, match="circles"):
        records(streams["people"], fake_api("encharge", SETTINGS))


def test_anonymous_visitors_are_left_out(mail: Any, streams: Any) -> None:
    """Quirk 3: people too, to the vendor."""
    mail.sandbox.load("members", people("ann@example.com", "visitor"))
    mail.sandbox.user("visitor").anonymous = True

    assert ["ann@example.com"] == [record["email"] for record in records(streams["people"], mail)]


def test_changes_are_read_until_the_cursor(mail: Any, streams: Any, clock: Any) -> None:
    """Quirk 8: newest first, and no further than needed."""
    mail.sandbox.load("members", many(350))
    *_, last = streams["people"].pull(mail, None, None)
    clock.advance(timedelta(hours=1))
    mail.sandbox.load("members", people("p0300@example.com", first_name="Ny"))
    mail.recorder.seen.clear()
    got = [record["email"] for record in records(streams["people"], mail, last.cursor + timedelta(minutes=1))]

    assert "p0300@example.com" == got[0]
    assert [("updatedAt", "desc", "0")] == [(query["sort"], query["order"], query["offset"]) for query in asked(mail)]


def test_an_order_that_is_not_heeded_means_reading_all(make_mail: Any, streams: Any, clock: Any) -> None:
    """Quirk 8: oldest first as ever; the one who changed is the last."""
    api = make_mail(sorts=False)
    for i, row in enumerate(many(250)):
        api.sandbox.load("members", [{**row, "updated_at": clock() + timedelta(seconds=i)}])
    got = {record["email"] for record in records(streams["people"], api, clock() + timedelta(seconds=200))}

    assert 250 == len(got)


def test_a_person_without_a_time_breaks_the_order(respx_mock: Any, fake_api: Any, streams: Any, clock: Any) -> None:
    """Quirk 8: whether others come after them cannot be told."""
    respx_mock.get(f"{BASE}/fields").respond(**Payload("fields").kwargs)
    ann, bo = Payload("people_all").body["people"]
    answers = [[{**ann, "updatedAt": None}, bo], [bo]]
    route = respx_mock.get(url__startswith=f"{BASE}/people/all")
    route.mock(side_effect=[httpx.Response(200, json={"people": rows}) for rows in answers])

    assert 2 == len(records(streams["people"], fake_api("encharge", SETTINGS), clock()))
    assert 2 == route.call_count


def test_start_bounds_every_pull(make_mail: Any, streams: Any, clock: Any) -> None:
    """Whoever changed before that day is not pulled."""
    api = make_mail(settings={"start": "2026-03-03"})
    api.sandbox.load("members", people("old@example.com"))
    clock.advance(timedelta(days=2))
    api.sandbox.load("members", people("new@example.com"))

    assert ["new@example.com"] == [record["email"] for record in records(streams["people"], api)]


def test_a_broken_pull_goes_on_where_it_was(mail: Any, streams: Any) -> None:
    """By position and the last person read; it reads to the end, whatever it saw before."""
    mail.sandbox.load("members", many(250))
    first = next(iter(streams["people"].pull(mail, None, None)))
    rest = records(streams["people"], mail, None, first.resume)

    assert 150 == len(rest)


def test_tags_are_a_table_of_names(mail: Any, streams: Any) -> None:
    """All of them; a tag is nobody."""
    found = records(streams["tags"], mail)

    assert ["trial"] == [record["tag"] for record in found]
    assert [] == [row for record in found for row in streams["tags"].rows(record)]


@pytest.fixture
def pull(mail: Any, store: Any, clock: Any) -> Any:
    """Pull and resolve once; an hour passes before each."""
    mine = Connected(store, clock, "encharge", {"api_key": {"env": "ENCHARGE_KEY"}}, name="mail")

    def once() -> Any:
        clock.advance(timedelta(hours=1))
        report = mine.pull(mail)
        mine.resolve()
        assert report.complete
        return report.streams[0]

    return once


def _denied(store: Any) -> dict[str, bool]:
    profiles = dict(store.conn.execute("SELECT email, id FROM profiles WHERE live = 1 AND email IS NOT NULL").fetchall())
    said_no = denied(store.conn, BitMap(profiles.values()))
    return {email: id_ in said_no for email, id_ in profiles.items()}


def test_consent_follows_the_person(mail: Any, store: Any, pull: Any) -> None:
    """Unsubscribed between two pulls, and back before the third."""
    mail.sandbox.load("members", people("Ann@Example.com", "bo@example.com", user_id="42")[:1] + people("bo@example.com"))
    pull()
    mail.sandbox.load("members", [{"id": "ann@example.com", "email": "Ann@Example.com", "status": "unsubscribed"}])
    assert 1 == pull().changed
    assert {"ann@example.com": True, "bo@example.com": False} == _denied(store)

    mail.sandbox.load("members", [{"id": "ann@example.com", "email": "Ann@Example.com", "status": "subscribed"}])
    pull()
    assert {"ann@example.com": False, "bo@example.com": False} == _denied(store)
    assert [("42",)] == store.conn.execute("SELECT user_id FROM profiles WHERE user_id IS NOT NULL").fetchall()


def test_people_who_are_gone(mail: Any, store: Any, pull: Any, clock: Any) -> None:
    """Quirk 9: archived and erased alike, with the weekly full pull."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com", "cy@example.com"))
    pull()
    mail.sandbox.load("members", [{"id": "bo@example.com", "status": "archived"}])
    mail.sandbox.delete("members", ["cy@example.com"])
    clock.advance(timedelta(days=7))
    pull()

    assert {"ann@example.com"} == _denied(store).keys()
