"""The streams: contacts by id and time of change, what they said on each list, exclusions, tags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from activecampaign_rows import BASE, SETTINGS, Payload
from support.members import many, people

from connectors.activecampaign.consents import consent_rows, excluded_address, exclusion_rows
from connectors.activecampaign.sandbox_state import exclusion
from connectors.activecampaign.vendor import by_offset, contacts_by_id, time_of, total_of
from core.contract import Row, pick
from core.errors import ProtocolError

WHEN = datetime(2026, 2, 3, 9, 5, 6, tzinfo=UTC)


def records(stream: Any, api: Any, cursor: Any = None, resume: Any = None) -> list[Any]:
    """Return all records of a pull."""
    return [record for page in stream.pull(api, cursor, resume) for record in page.records]


def test_contacts_as_recorded(respx_mock: Any, fake_api: Any, streams: Any) -> None:
    """Quirks 4, 5 and 8: texts, times of zeros, the UTC stamp before the account's own, and the flags of who is gone."""
    respx_mock.get(url__startswith=f"{BASE}/contacts").respond(**Payload("contacts").kwargs)
    (page,) = streams["contacts"].pull(fake_api("activecampaign", SETTINGS), None, None)
    fields = streams["contacts"].fields
    ann, bo = ({name: pick(record, where) for name, where in fields.items()} for record in page.records)

    created = datetime(2026, 1, 2, 8, 4, 5, tzinfo=UTC)
    assert {"email": "ann@example.com", "first_name": "Ann", "last_name": None, "phone": None, "created_at": created} == ann
    assert {
        "email": "bo@example.com",
        "first_name": None,
        "last_name": None,
        "phone": "+46701234567",
        "created_at": created,
    } == bo
    assert ["7"] == list(page.deleted)
    assert page.records[0]["deleted_at"] is None
    assert datetime(2026, 2, 5, 9, 5, 6, tzinfo=UTC) == page.cursor


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"updated_utc_timestamp": "2026-02-03 09:05:06", "udate": "2020-01-01T00:00:00-05:00"}, WHEN),
        ({"udate": "2026-02-03T04:05:06-05:00"}, WHEN),
        ({"updated_utc_timestamp": "0000-00-00 00:00:00", "udate": "2026-02-03T04:05:06-05:00"}, WHEN),
        ({"updated_utc_timestamp": "soon"}, None),
        ({"updated_utc_timestamp": None, "udate": "0000-00-00 00:00:00"}, None),
        ({}, None),
    ],
)
def test_times(row: Any, expected: datetime | None) -> None:
    """Quirk 5: the account's own stamp carries its offset, the UTC one has none."""
    assert expected == time_of(row, "updated")


def test_only_what_changed_is_asked_for(mail: Any, streams: Any, clock: Any) -> None:
    """Incremental by `filters[updated_after]`, in whole seconds; `start` bounds the first pull."""
    mail.sandbox.load("members", many(3))
    (first,) = streams["contacts"].pull(mail, None, None)
    clock.advance(timedelta(hours=2))
    mail.sandbox.load("members", people("p0001@example.com", first_name="Ny"))
    second = records(streams["contacts"], mail, first.cursor)

    assert ["p0001@example.com"] == [record["email"] for record in second]
    assert "2026-03-02T12:00:00Z" == dict(mail.recorder.seen[-1][2])["filters[updated_after]"]


def test_start_bounds_the_first_pull(make_mail: Any, streams: Any) -> None:
    """A day, in UTC."""
    api = make_mail(settings={"start": "2026-03-03"})
    api.sandbox.load("members", many(3))

    assert [] == records(streams["contacts"], api)
    assert "2026-03-03T00:00:00Z" == dict(api.recorder.seen[-1][2])["filters[updated_after]"]


@pytest.mark.parametrize("total_counts", ["all", "above"])
@pytest.mark.parametrize("count", [0, 100, 230])
def test_everybody_comes_once(make_mail: Any, streams: Any, total_counts: str, count: int) -> None:
    """Quirk 3: whether the total counts those of earlier pages, no page says; nobody is lost or asked for twice either way."""
    api = make_mail(total_counts=total_counts)
    api.sandbox.load("members", many(count))
    got = [record["email"] for record in records(streams["contacts"], api)]

    assert count == len(got) == len(set(got))
    assert api.sandbox.requests["GET /api/3/contacts"] <= count // 100 + 2


def test_a_broken_pull_goes_on_after_the_last_contact(mail: Any, streams: Any) -> None:
    """The resume token is the last id read; pages go by id, so nothing shifts when contacts come and go."""
    mail.sandbox.load("members", many(250))
    pages = streams["contacts"].pull(mail, None, None)
    first = next(pages)
    mail.sandbox.delete("members", ["p0000@example.com", "p0001@example.com"])
    rest = records(streams["contacts"], mail, None, first.resume)

    assert 150 == len(rest)


def test_an_ignored_id_greater_goes_in_no_circles(respx_mock: Any, fake_api: Any) -> None:
    """Quirk 7: the first page again and again, were it believed."""
    rows = [{"id": str(i)} for i in range(1, 101)]
    respx_mock.get(url__startswith=f"{BASE}/contacts").respond(json={"contacts": rows, "meta": {"total": "500"}})

    with pytest.raises(ProtocolError):
        list(contacts_by_id(fake_api("activecampaign", SETTINGS)))


@pytest.mark.parametrize("body", [{}, {"meta": {}}, {"meta": {"total": "many"}}, {"meta": None}, []])
def test_a_page_without_a_total_is_no_page(body: Any) -> None:
    """Quirk 4: the total is a text, or a number; without one the end cannot be told."""
    assert 5 == total_of({"meta": {"total": "5"}}) == total_of({"meta": {"total": 5}})
    with pytest.raises(ProtocolError):
        total_of(body)


def test_a_collection_that_shrinks_while_it_is_read(respx_mock: Any, fake_api: Any) -> None:
    """Offset pages move up when something goes from the front: what would be skipped is read again."""
    there = [{"id": str(i)} for i in range(150)]
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        asked.append(offset)
        if len(asked) == 2:
            del there[:10]
        return httpx.Response(200, json={"tags": there[offset : offset + 100], "meta": {"total": str(len(there))}})

    respx_mock.get(url__startswith=f"{BASE}/tags").mock(side_effect=answer)
    rows = [row["id"] for page in by_offset(fake_api("activecampaign", SETTINGS), "/tags", "tags") for row in page]

    assert [0, 100, 90] == asked
    assert {str(i) for i in range(150)} == set(rows)


def test_an_empty_page_before_the_end_is_said(respx_mock: Any, fake_api: Any) -> None:
    """Nothing is lost in silence."""
    respx_mock.get(url__startswith=f"{BASE}/tags").respond(json={"tags": [], "meta": {"total": "3"}})
    with pytest.raises(ProtocolError):
        list(by_offset(fake_api("activecampaign", SETTINGS), "/tags", "tags"))


def test_consent_by_list_and_status(mail: Any, streams: Any) -> None:
    """Quirk 10: 2 unsubscribed and 3 bounced are refusals, 1 is a yes; who is on no list said nothing."""
    for status in ("subscribed", "unsubscribed", "cleaned", "transactional"):
        mail.sandbox.load("members", people(f"{status}@example.com", status=status))
    mail.sandbox.state.lists[5] = "Another"
    mail.sandbox.state.by_email("subscribed@example.com").lists[5] = 2
    said = {
        (record["email"].partition("@")[0], record["list"]): row.values["state"]
        for record in records(streams["consents"], mail)
        for row in consent_rows(record)
    }

    assert {
        ("subscribed", "1"): "granted",
        ("unsubscribed", "1"): "denied",
        ("cleaned", "1"): "denied",
        ("subscribed", "5"): "denied",
    } == said


def test_refusals_are_read_whole_and_first(mail: Any, streams: Any, clock: Any) -> None:
    """An unsubscribe counts whether or not it moves the contact's stamp; only a yes is asked for by time of change."""
    mail.sandbox.load("members", [*people("no@example.com", status="unsubscribed"), *people("yes@example.com")])
    *_, last = streams["consents"].pull(mail, None, None)
    clock.advance(timedelta(hours=2))
    again = records(streams["consents"], mail, last.cursor)

    assert [("no@example.com", "2")] == [(record["email"], record["status"]) for record in again]
    asked = [dict(query) for _, path, query, _ in mail.recorder.seen if path.endswith("/contacts")][-3:]
    assert [("2", False), ("3", False), ("1", True)] == [(q["status"], "filters[updated_after]" in q) for q in asked]


def test_a_broken_pull_of_consents_goes_on_where_it_was(mail: Any, streams: Any) -> None:
    """By list, status and contact."""
    mail.sandbox.load("members", many(150, status="unsubscribed"))
    mail.sandbox.load("members", people("yes@example.com"))
    whole = [record["key"] for record in records(streams["consents"], mail)]
    first = next(iter(streams["consents"].pull(mail, None, None)))
    rest = [record["key"] for record in records(streams["consents"], mail, None, first.resume)]

    assert whole == [record["key"] for record in first.records] + rest
    assert 151 == len(set(whole))


@pytest.mark.parametrize("ignored", ["status", "listid"])
def test_a_filter_that_is_not_heeded_makes_nobody_unsubscribed(make_mail: Any, streams: Any, ignored: str) -> None:
    """Quirks 7 and 10: the rows do not say on which list they are, so the first and the last are looked at."""
    api = make_mail(ignores=[ignored])
    api.sandbox.load("members", many(5))
    api.sandbox.state.lists = {5: "Another", 1: "Example news"} if ignored == "listid" else api.sandbox.state.lists
    api.sandbox.state.by_email("p0002@example.com").lists = {1: 2}

    with pytest.raises(ProtocolError, match="filter"):
        records(streams["consents"], api)


def test_a_membership_as_recorded(respx_mock: Any, fake_api: Any, streams: Any) -> None:
    """Ids and statuses are texts; the recorded contact bounced on list 1, and is no refusal of another kind."""
    lists = {"lists": [{"id": "1"}], "meta": {"total": "1"}}
    respx_mock.get(url__startswith=f"{BASE}/lists").respond(json=lists)
    contact = {"id": "19", "email": "bo@example.com", "deleted": "0"}

    def answer(request: httpx.Request) -> httpx.Response:
        mine = [contact] if request.url.params.get("status") == "3" else []
        return httpx.Response(200, json={"contacts": mine, "meta": {"total": str(len(mine))}})

    respx_mock.get(url__regex=rf"{BASE}/contacts\?").mock(side_effect=answer)
    respx_mock.get(f"{BASE}/contacts/19/contactLists").respond(**Payload("contact_lists").kwargs)

    (record,) = records(streams["consents"], fake_api("activecampaign", SETTINGS))
    assert ("19:1", "3") == (record["key"], record["status"])


def test_exclusions_as_recorded(respx_mock: Any, fake_api: Any, streams: Any) -> None:
    """Quirk 11: an exact address is a refusal, of texts alone where it says so; the end of an address names nobody."""
    respx_mock.get(url__startswith=f"{BASE}/lists/exclusions").respond(**Payload("exclusions").kwargs)
    found = records(streams["exclusions"], fake_api("activecampaign", SETTINGS))

    assert [None, "ann@example.com", "bo@example.com"] == [excluded_address(record) for record in found]
    rows = [row for record in found for row in exclusion_rows(record)]
    assert [("2", "email"), ("3", "sms")] == [(row.key, row.values["channel"]) for row in rows]
    assert {"denied"} == {row.values["state"] for row in rows}
    assert all(isinstance(row, Row) for row in rows)


def test_tags_are_a_table_of_names(mail: Any, streams: Any) -> None:
    """All of them; a tag is nobody."""
    for i in range(130):
        mail.sandbox.state.tags[1000 + i] = f"T{i:03}"
    found = records(streams["tags"], mail)

    assert 131 == len(found)
    assert [] == [row for record in found for row in streams["tags"].rows(record)]


def test_an_excluded_address_in_the_sandbox_is_one(mail: Any, streams: Any) -> None:
    """The neutral way to put somebody there."""
    mail.sandbox.state.exclusions.append(exclusion(7, "Ann@example.com"))

    assert [None, "ann@example.com"] == [excluded_address(record) for record in records(streams["exclusions"], mail)]
