"""The stream `members`: profiles and consent, incremental inside a fixed window, none left out while the list moves."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mailchimp_rows import BASE, SETTINGS, Payload
from support.members import people

from connectors.mailchimp import paging
from connectors.mailchimp.members import rows
from connectors.mailchimp.sandbox import MailchimpSandbox
from core.contract import Kind
from core.errors import ProtocolError, RateLimited, TransientError
from core.sandbox import Rewritten

MEMBERS = f"{BASE}/lists/a6b5da1054/members"


def _row(payload: Payload, index: int, kind: Kind) -> Any:
    return next(row for row in rows(payload.body["members"][index]) if row.kind is kind)


def test_a_member_is_a_profile() -> None:
    """Names are merge fields, the country is where the address was last seen; the key is the lower-cased address."""
    profile = _row(Payload("members"), 0, Kind.PROFILE)

    assert "ann@example.com" == profile.key
    assert {
        "email": "ann@example.com", "first_name": "Ann", "last_name": "Berg", "phone": "+46 8 123", "country": "SE",
        "language": "sv", "timezone": "Europe/Stockholm", "created_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    } == profile.values  # fmt: skip


@pytest.mark.parametrize(
    ("index", "state", "at"),
    [
        pytest.param(0, "granted", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), id="subscribed-since-they-opted-in"),
        pytest.param(1, "denied", datetime(2026, 2, 3, 5, tzinfo=UTC), id="unsubscribed-when-last-changed"),
        pytest.param(2, "denied", datetime(2026, 2, 3, 6, tzinfo=UTC), id="cleaned"),
        pytest.param(3, "unknown", datetime(2026, 2, 3, 7, tzinfo=UTC), id="transactional"),
        pytest.param(4, "unknown", datetime(2026, 2, 3, 8, tzinfo=UTC), id="pending"),
    ],
)
def test_consent_by_status(index: int, state: str, at: datetime) -> None:
    """Only `subscribed` is a yes; only `unsubscribed` and `cleaned` are a no."""
    consent = _row(Payload("members"), index, Kind.CONSENT)

    assert {"channel": "email", "state": state, "at": at} == consent.values


def test_empty_texts_are_missing(respx_mock: Any, fake_api: Any, stream: Any) -> None:
    """Quirk 8: an empty datetime arrives as "", and is nothing, at any depth."""
    respx_mock.get(MEMBERS).respond(**Payload("members").kwargs)
    page = next(stream.pull(fake_api("mailchimp", SETTINGS), None, None))
    bo = page.records[1]

    assert bo["timestamp_signup"] is None
    assert bo["merge_fields"] == {"FNAME": None, "LNAME": None, "PHONE": None}
    assert "_links" not in bo
    assert _row(Payload("members"), 3, Kind.PROFILE).values["created_at"] is None


def test_archived_people_and_people_without_an_address(respx_mock: Any, fake_api: Any, stream: Any) -> None:
    """Quirks 6 and 7: an archived member of an unfiltered list is a deletion, one without an address a dead letter."""
    respx_mock.get(MEMBERS).respond(**Payload("members").kwargs)
    (page,) = stream.pull(fake_api("mailchimp", SETTINGS), None, None)

    assert ["fred@example.com"] == list(page.deleted)
    assert [("member 0a21", "no e-mail address")] == [(bad.ref, bad.reason) for bad in page.bad]
    assert 5 == len(page.records)
    assert datetime(2026, 2, 3, 8, tzinfo=UTC) == page.cursor


def test_full_pull_asks_for_full_pages_oldest_first(make_mail: Any, stream: Any) -> None:
    """The default of 10 a page is never relied on; the window ends with the second in which it began."""
    api = make_mail()
    api.sandbox.load("members", people(*(f"p{i}@example.com" for i in range(2300))))
    pages = list(stream.pull(api, None, None))

    assert [1000, 1000, 300] == [len(page.records) for page in pages]
    assert pages[-1].resume is None
    assert all(page.resume for page in pages[:-1])
    assert 3 == api.sandbox.requests["GET /lists/{list_id}/members"]
    first = dict(api.recorder.seen[0][2])
    assert "2026-03-02T12:00:01+00:00" == first.pop("before_last_changed")
    assert "_links,members._links" == first.pop("exclude_fields")
    assert {"count": "1000", "offset": "0", "sort_field": "last_changed", "sort_dir": "ASC"} == first


def test_incremental_pull_asks_from_the_cursor_and_sees_the_archived(mail: Any, stream: Any, clock: Any) -> None:
    """What changed since comes again, and who was archived since is told as deleted."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com", "cy@example.com"))
    (page,) = stream.pull(mail, None, None)
    clock.advance(timedelta(hours=1))
    mail.sandbox.load("members", [{"id": "bo@example.com", "status": "archived"}, {"id": "cy@example.com", "first_name": "Cy"}])
    archived, changed = stream.pull(mail, page.cursor, None)

    assert (["bo@example.com"], []) == (list(archived.deleted), list(archived.records))
    assert archived.cursor is None
    assert ["cy@example.com"] == [record["email_address"] for record in changed.records]
    assert [] == list(changed.deleted)
    assert changed.cursor == clock()
    assert {"archived"} == {dict(query).get("status", "archived") for _, _, query, _ in mail.recorder.seen[1:]}


@pytest.mark.parametrize("lists_archived", [True, False])
def test_archived_people_are_never_records(make_mail: Any, stream: Any, lists_archived: bool) -> None:
    """Quirk 6: whether an unfiltered list has archived people is not documented; the pull is right both ways."""
    api = make_mail(lists_archived=lists_archived)
    api.sandbox.load("members", people("ann@example.com") + people("bo@example.com", status="archived"))
    (page,) = stream.pull(api, None, None)

    assert ["ann@example.com"] == [record["email_address"] for record in page.records]


def test_first_pull_goes_back_to_start(stream: Any, fake_api: Any, respx_mock: Any) -> None:
    """`start` bounds a full pull."""
    route = respx_mock.get(MEMBERS).respond(json={"members": [], "total_items": 0})
    list(stream.pull(fake_api("mailchimp", {**SETTINGS, "start": "2026-01-01"}), None, None))

    assert "2026-01-01T00:00:00+00:00" == route.calls[0].request.url.params["since_last_changed"]


def test_nobody_is_skipped_when_the_list_moves(mail: Any, stream: Any, clock: Any) -> None:
    """Quirk 4: members that change while pages are read leave the window, and those behind them move up past the offset."""
    addresses = [f"p{i:04}@example.com" for i in range(2500)]
    mail.sandbox.load("members", people(*addresses))
    clock.advance(timedelta(minutes=5))
    seen: Counter[str] = Counter()
    for number, page in enumerate(stream.pull(mail, None, None)):
        seen.update(record["email_address"] for record in page.records)
        clock.advance(timedelta(seconds=30))
        gone = addresses[number * 40 : number * 40 + 40]  # people of pages already read
        mail.sandbox.load("members", [{"id": address, "first_name": f"New {number}"} for address in gone])

    assert set(addresses) == set(seen)


def test_a_plain_offset_would_skip(mail: Any, clock: Any) -> None:
    """Quirk 4, the harm: by offset alone, as many are skipped as changed."""
    addresses = [f"p{i:04}@example.com" for i in range(1200)]
    mail.sandbox.load("members", people(*addresses))
    clock.advance(timedelta(minutes=5))
    query = {"count": 1000, "before_last_changed": clock().isoformat(), "sort_field": "last_changed", "sort_dir": "ASC"}
    seen = {m["email_address"] for m in mail.get("/lists/a6b5da1054/members", offset=0, **query)["members"]}
    mail.sandbox.load("members", [{"id": address, "first_name": "New"} for address in addresses[:40]])
    seen |= {m["email_address"] for m in mail.get("/lists/a6b5da1054/members", offset=1000, **query)["members"]}

    assert 40 == len(set(addresses) - seen)


def test_gives_up_on_a_list_that_never_holds_still(respx_mock: Any, fake_api: Any, stream: Any) -> None:
    """Quirk 4: a list that loses more between two pages than a page overlaps ends the stream, with the checkpoint kept."""
    totals = iter(range(1_000_000, 0, -900))
    members = [{"email_address": f"p{i}@example.com", "status": "subscribed"} for i in range(1000)]
    respx_mock.get(MEMBERS).mock(side_effect=lambda request: _json(members, next(totals)))

    with pytest.raises(TransientError, match="faster than it can be read"):
        list(stream.pull(fake_api("mailchimp", SETTINGS), None, None))
    assert 2 * (paging.MAX_RESTARTS + 1) == respx_mock.calls.call_count


def _json(members: list[Any], total: int) -> Any:
    import httpx

    return httpx.Response(200, json={"members": members, "total_items": total})


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_resume_after_a_kill_equals_an_uninterrupted_pull(mail: Any, stream: Any, clock: Any, after: int) -> None:
    """A pull that dies after any page goes on from its token, with the cursor that it began with and the same window."""
    mail.sandbox.load("members", people(*(f"p{i:04}@example.com" for i in range(2100))))
    mail.sandbox.load("members", people(*(f"a{i:04}@example.com" for i in range(1100)), status="archived"))
    cursor = clock() - timedelta(days=1)
    whole = list(stream.pull(mail, cursor, None))
    broken = stream.pull(mail, cursor, None)
    before = [next(broken) for _ in range(after)]
    broken.close()
    clock.advance(timedelta(minutes=3))
    resumed = before + list(stream.pull(mail, cursor, before[-1].resume))

    assert 5 == len(whole)
    assert [_said(page) for page in whole] == [_said(page) for page in resumed]


def _said(page: Any) -> Any:
    return [record["email_address"] for record in page.records], list(page.deleted), page.cursor


def test_a_changed_address_keeps_the_contact_id(mail: Any, stream: Any) -> None:
    """Quirk 5: the old and the new address are one person, for the contact id links them."""
    mail.sandbox.load("members", people("old@example.com"))
    (before,) = stream.pull(mail, None, None)
    mail.sandbox.load("members", [{"id": "old@example.com", "email": "new@example.com"}])
    (after,) = stream.pull(mail, None, None)

    assert "new@example.com" == after.records[0]["email_address"]
    assert before.records[0]["contact_id"] == after.records[0]["contact_id"]
    assert "contact_id" in stream.identifiers


def test_people_deleted_for_good_are_simply_not_there(mail: Any, stream: Any) -> None:
    """Quirk 6: a permanent deletion shows only by absence, so the stream is pulled in full every week."""
    mail.sandbox.load("members", people("ann@example.com", "bo@example.com"))
    mail.sandbox.delete("members", ["bo@example.com"])
    (page,) = stream.pull(mail, None, None)

    assert ["ann@example.com"] == [record["email_address"] for record in page.records]
    assert timedelta(days=7) == stream.full_every


@pytest.mark.parametrize(
    "body", [{}, {"members": [], "total_items": None}, {"members": {}, "total_items": 1}, {"members": ["x"], "total_items": 1}]
)
def test_an_answer_of_another_shape_is_a_protocol_error(body: Any, respx_mock: Any, fake_api: Any, stream: Any) -> None:
    """The checkpoint stays where it was."""
    respx_mock.get(MEMBERS).respond(json=body)

    with pytest.raises(ProtocolError):
        list(stream.pull(fake_api("mailchimp", SETTINGS), None, None))


def test_an_empty_page_in_the_middle_is_not_the_end(mail: Any, stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for the end, a full pull would call everybody behind it deleted."""
    monkeypatch.setattr(paging, "PAGE_SIZE", 2)
    mail.sandbox.load("members", people(*(f"p{number}@example.com" for number in range(5))))

    def empty(body: bytes) -> bytes:
        return json.dumps({**json.loads(body), "members": []}).encode()

    mail.served.faults = lambda _method, _path, number: Rewritten(empty) if number == 2 else None
    with pytest.raises(ProtocolError, match="3 are still to come"):
        list(stream.pull(mail, None, None))
    mail.served.faults = None
    assert 5 == sum(len(page.records) for page in stream.pull(mail, None, None))


def test_a_bare_403_in_the_middle_is_waited_out(make_mail: Any, stream: Any) -> None:
    """Quirk 2: at high volume the front answers 403 in HTML; it is patience that is asked for, not another key."""
    api = make_mail(bare_403_every=2)
    api.sandbox.load("members", people(*(f"p{i}@example.com" for i in range(3000))))
    pages = list(stream.pull(api, None, None))

    assert 3000 == sum(len(page.records) for page in pages)
    assert api.slept


def test_a_bare_403_for_ever_is_rate_limited_not_unauthorised(respx_mock: Any, fake_api: Any, stream: Any) -> None:
    """Quirk 2: after the last try it is still no AuthError, which would stop the connection until a person acts."""
    respx_mock.get(MEMBERS).respond(**Payload("bare_403").kwargs)

    with pytest.raises(RateLimited):
        list(stream.pull(fake_api("mailchimp", SETTINGS), None, None))


def test_with_a_clock_that_is_behind_nobodys_no_is_missed(sandbox_api: Any, clock: Any, stream: Any) -> None:
    """The list is asked for up to now, and who unsubscribed yesterday is behind a now of last week."""
    clock.advance(timedelta(days=365))  # no vendor is believed whose clock stands before the day of the connector
    sandbox = MailchimpSandbox(now=lambda: clock() + timedelta(days=5))
    sandbox.load("members", people("ann@example.com", status="unsubscribed"))
    api = sandbox_api("mailchimp", sandbox)
    api.get("/")  # as before each pull: whose account it is

    assert ["ann@example.com"] == [one["email_address"] for page in stream.pull(api, None, None) for one in page.records]
