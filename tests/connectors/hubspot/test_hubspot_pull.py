"""Contacts, companies and deals: full by GET, incremental by search, archived and merged, resumed after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.hubspot import Settings, objects, streams, vendor
from connectors.hubspot.sandbox import HubSpotSandbox
from core.contract import Deletions, Merge, Money, Page, pick
from core.errors import AuthError, ProtocolError

BASE = "https://api.hubapi.com"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def _stream(name: str, **settings: Any) -> Any:
    return {each.name: each for each in streams(Settings(token="pat-x", **settings))}[name]


def _pull(api: Any, name: str, cursor: datetime | None = None, resume: str | None = None) -> list[Page]:
    return list(_stream(name).pull(api, cursor, resume))


def _ids(pages: list[Page]) -> list[str]:
    return [record["id"] for page in pages for record in page.records]


def _people(count: int, *, start: int = 1, at: datetime = BEGAN) -> Iterator[dict[str, Any]]:
    for number in range(start, start + count):
        yield {"id": str(number), "email": f"p{number}@example.com", "updated_at": at, "created_at": at}


def test_a_full_pull_reads_every_contact_by_pages_of_a_hundred(portal: Callable[..., Any]) -> None:
    api = portal()
    api.sandbox.load("people", _people(250))

    pages = _pull(api, "contacts")

    assert [str(n) for n in range(1, 251)] == _ids(pages)
    assert [len(page.records) for page in pages] == [100, 100, 50, 0]
    assert api.sandbox.requests["GET /crm/objects/2026-03/{type}"] == 3 + 1  # and one of the archived


def test_the_cursor_is_five_minutes_before_the_pull_began(portal: Callable[..., Any], clock: Any) -> None:
    """Quirk 4: what the search index has not got yet must fall into the next window."""
    api = portal()
    api.sandbox.load("people", _people(3))

    pages = _pull(api, "contacts")

    assert {clock() - timedelta(minutes=5)} == {page.cursor for page in pages}
    assert pages[-1].resume is None


def test_an_incremental_pull_asks_search_for_one_window_by_keyset(
    fake_api: Callable[..., Any], respx_mock: Any, clock: Any
) -> None:
    """Quirk 1 and 2: the window is fixed, the page is `hs_object_id` above the last, and contacts say lastmodifieddate."""
    api = fake_api("hubspot", {"token": "pat-x"})
    respx_mock.get(f"{BASE}/crm/properties/2026-03/contacts").respond(json={"results": [{"name": "email", "type": "string"}]})
    first = {"total": 2, "results": [{"id": "7", "properties": {"email": "a@example.com"}}], "paging": {"next": {"after": "1"}}}
    second = {"total": 1, "results": [{"id": "9", "properties": {"email": "b@example.com"}}]}
    route = respx_mock.post(f"{BASE}/crm/objects/2026-03/contacts/search")
    route.side_effect = [httpx.Response(200, json=first), httpx.Response(200, json=second)]
    respx_mock.get(f"{BASE}/crm/objects/2026-03/contacts").respond(json={"results": []})

    pages = _pull(api, "contacts", cursor=clock() - timedelta(hours=1))

    low, high = 1772449200000, 1772452500000  # an hour ago, five minutes ago
    asked = [json.loads(call.request.content) for call in route.calls]
    assert _ids(pages) == ["7", "9"]
    assert [
        {
            "filterGroups": [
                {
                    "filters": [
                        {"propertyName": "lastmodifieddate", "operator": "GTE", "value": str(low)},
                        {"propertyName": "lastmodifieddate", "operator": "LT", "value": str(high)},
                        {"propertyName": "hs_object_id", "operator": "GT", "value": last},
                    ]
                }
            ],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["email"],
            "limit": 200,
        }
        for last in ("0", "7")
    ] == asked


def test_companies_and_deals_are_searched_by_their_own_cursor_property(portal: Callable[..., Any], clock: Any) -> None:
    """Quirk 2: on anything but contacts `lastmodifieddate` finds nothing, and says so to nobody."""
    api = portal()
    changed = clock() - timedelta(minutes=30)
    api.sandbox.load("companies", [{"id": "900", "name": "Nordic Candles", "updated_at": changed}])
    api.sandbox.load("deals", [{"id": "70", "name": "Upgrade", "stage": "New", "updated_at": changed}])
    cursor = clock() - timedelta(hours=1)

    assert _ids(_pull(api, "companies", cursor)) == ["900"]
    assert _ids(_pull(api, "deals", cursor)) == ["70"]


def test_a_window_with_more_than_the_cap_is_halved(portal: Callable[..., Any], clock: Any, monkeypatch: Any) -> None:
    """Quirk 1 (airbyte#10700): nothing asks past the cap, which the vendor answers with 400."""
    monkeypatch.setattr(vendor, "SEARCH_CAP", 300)
    api = portal(search_cap=300)
    begin = clock() - timedelta(hours=10)
    for step in range(5):
        api.sandbox.load("people", _people(250, start=1 + 250 * step, at=begin + timedelta(hours=step)))

    pages = _pull(api, "contacts", cursor=begin)

    assert sorted(_ids(pages), key=int) == [str(n) for n in range(1, 1251)]


def test_more_than_the_cap_within_one_millisecond_is_read_to_its_end(
    portal: Callable[..., Any], clock: Any, monkeypatch: Any
) -> None:
    """Quirk 1 (airbyte#43317): a bulk import stamps everybody alike, and no window can be cut below a millisecond."""
    monkeypatch.setattr(vendor, "SEARCH_CAP", 300)
    api = portal(search_cap=300)
    api.sandbox.load("people", _people(1_000, at=clock() - timedelta(hours=1)))

    pages = _pull(api, "contacts", cursor=clock() - timedelta(hours=2))

    assert _ids(pages) == [str(n) for n in range(1, 1001)]


def test_a_change_that_the_index_shows_late_is_seen_by_the_next_pull(portal: Callable[..., Any], clock: Any) -> None:
    """Quirk 4 (airbyte#69203): the window ends five minutes ago, and the next one begins an hour before that."""
    api = portal(index_lag=timedelta(minutes=20))
    stream = _stream("contacts")
    api.sandbox.load("people", [{"id": "1", "email": "ann@example.com"}])
    clock.advance(timedelta(minutes=10))

    first = list(stream.pull(api, clock() - timedelta(hours=1), None))
    clock.advance(timedelta(minutes=15))
    second = list(stream.pull(api, first[-1].cursor - stream.lookback, None))

    assert (_ids(first), _ids(second)) == ([], ["1"])


def test_a_pull_right_after_another_asks_search_nothing(portal: Callable[..., Any], clock: Any) -> None:
    """A cursor that is not older than the end of the window leaves nothing to search for; it does not run backwards."""
    api = portal()

    pages = _pull(api, "contacts", cursor=clock())

    assert {clock()} == {page.cursor for page in pages}
    assert api.sandbox.requests["POST /crm/objects/2026-03/{type}/search"] == 0


@pytest.mark.parametrize("incremental", [False, True], ids=["full", "incremental"])
def test_archived_contacts_are_told_as_deleted(portal: Callable[..., Any], clock: Any, incremental: bool) -> None:
    """Quirk 9: neither GET nor search shows them; a pass of their own does."""
    api = portal()
    api.sandbox.load("people", _people(140, at=clock() - timedelta(minutes=30)))
    api.sandbox.delete("people", [str(n) for n in range(1, 121)])

    pages = _pull(api, "contacts", cursor=clock() - timedelta(hours=1) if incremental else None)

    assert {str(n) for n in range(1, 121)} == {key for page in pages for key in page.deleted}
    assert {str(n) for n in range(121, 141)} == set(_ids(pages))


def test_the_winner_tells_of_a_merge(portal: Callable[..., Any], clock: Any) -> None:
    """Quirk 8: the loser is nowhere any more, not even among the archived."""
    api = portal()
    api.sandbox.load("people", _people(2, at=clock() - timedelta(hours=3)))
    clock.at -= timedelta(minutes=30)
    api.sandbox.merge("people", "1", "2")
    clock.advance(timedelta(minutes=30))

    pages = _pull(api, "contacts", cursor=clock() - timedelta(hours=1))

    record = next(record for page in pages for record in page.records)
    assert [Merge("1", "2")] == [merge for page in pages for merge in page.merged]
    assert [key for page in pages for key in page.deleted] == []
    assert pick(record, _stream("contacts").identifiers["email"]) == ["p2@example.com", "p1@example.com"]


def test_what_leaves_no_trace_is_found_by_a_weekly_full_pull() -> None:
    """Quirk 9: a record forgotten under the GDPR is neither archived nor merged, only absent."""
    for name in ("contacts", "companies", "deals"):
        assert Deletions.ABSENCE is _stream(name).deletions
        assert timedelta(days=7) == _stream(name).full_every


def test_a_forgotten_contact_is_absent_everywhere(portal: Callable[..., Any]) -> None:
    api = portal()
    api.sandbox.load("people", _people(2))
    api.sandbox.forget("people", ["1"])

    pages = _pull(api, "contacts")

    assert (_ids(pages), [key for page in pages for key in page.deleted]) == (["2"], [])


@pytest.mark.parametrize("incremental", [False, True], ids=["full", "incremental"])
def test_a_pull_killed_after_any_page_goes_on_from_there(
    portal: Callable[..., Any], clock: Any, incremental: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr(vendor, "SEARCH_CAP", 300)
    api = portal()
    begin = clock() - timedelta(hours=9)
    for step in range(4):
        api.sandbox.load("people", _people(120, start=1 + 120 * step, at=begin + timedelta(hours=step)))
    api.sandbox.delete("people", [str(n) for n in range(1, 121)])
    cursor = begin if incremental else None
    whole = _pull(api, "contacts", cursor)
    assert len(whole) > 4

    for stopped in range(1, len(whole)):
        clock.advance(timedelta(minutes=1))
        rest = _pull(api, "contacts", cursor, whole[stopped - 1].resume)

        assert _ids(whole[:stopped]) + _ids(rest) == _ids(whole)
        assert {key for page in (*whole[:stopped], *rest) for key in page.deleted} == {str(n) for n in range(1, 121)}
        assert rest[-1].cursor == whole[-1].cursor  # what changed while it lay dead is for the next pull


@pytest.mark.parametrize("token", ["", "gibberish", "[]", '{"phase":"elsewhere","end":1}', '{"phase":"list"}', '{"windows":3}'])
def test_a_resume_token_that_cannot_be_read_starts_the_pull_again(portal: Callable[..., Any], token: str) -> None:
    api = portal()
    api.sandbox.load("people", _people(3))

    assert _ids(_pull(api, "contacts", resume=token)) == ["1", "2", "3"]


def test_a_page_token_that_comes_twice_ends_the_pull(fake_api: Callable[..., Any], respx_mock: Any) -> None:
    api = fake_api("hubspot", {"token": "pat-x"})
    respx_mock.get(f"{BASE}/crm/properties/2026-03/contacts").respond(json={"results": []})
    page = {"results": [{"id": "1", "properties": {}}], "paging": {"next": {"after": "2"}}}
    respx_mock.get(f"{BASE}/crm/objects/2026-03/contacts").respond(json=page)

    with pytest.raises(ProtocolError, match="same page token"):
        _pull(api, "contacts")


@pytest.mark.parametrize(
    "body",
    [
        {"total": 9, "results": [], "paging": {"next": {"after": "200"}}},
        {"results": []},
        {"total": 1, "results": [{"id": "0", "properties": {}}]},
        {"total": 1},
    ],
    ids=["rows said and none given", "no total", "an id not above the last", "no results"],
)
def test_a_search_that_cannot_be_trusted_loses_nothing(
    fake_api: Callable[..., Any], respx_mock: Any, clock: Any, body: dict[str, Any]
) -> None:
    """To take such a page for the last one would move the cursor past records that were never read."""
    api = fake_api("hubspot", {"token": "pat-x"})
    respx_mock.get(f"{BASE}/crm/properties/2026-03/contacts").respond(json={"results": []})
    respx_mock.post(f"{BASE}/crm/objects/2026-03/contacts/search").respond(json=body)

    with pytest.raises(ProtocolError):
        _pull(api, "contacts", cursor=clock() - timedelta(hours=1))


def test_an_empty_page_with_a_next_token_is_not_the_end(fake_api: Callable[..., Any], respx_mock: Any) -> None:
    api = fake_api("hubspot", {"token": "pat-x"})
    respx_mock.get(f"{BASE}/crm/properties/2026-03/contacts").respond(json={"results": []})
    pages = [
        {"results": [], "paging": {"next": {"after": "5"}}},
        {"results": [{"id": "5", "properties": {}}]},
        {"results": []},
    ]
    respx_mock.get(f"{BASE}/crm/objects/2026-03/contacts").side_effect = [httpx.Response(200, json=page) for page in pages]

    assert _ids(_pull(api, "contacts")) == ["5"]


def test_the_portals_own_properties_come_by_themselves_and_others_on_request(portal: Callable[..., Any]) -> None:
    api = portal({"properties": {"contacts": ["num_notes", "no_such_property"]}})
    signed = datetime(2026, 2, 1, 8, 30, tzinfo=UTC)
    extra = {"plan_interest": "pro", "seats": 5, "beta": True, "signed_at": signed, "uses": ["a", "b"], "num_notes": 3}
    api.sandbox.load("people", [{"id": "1", "email": "ann@example.com", "extra": extra}])

    record = _pull(api, "contacts")[0].records[0]
    columns = _stream("contacts").columns(record)

    assert extra == {name: columns[name] for name in extra}
    assert "no_such_property" not in columns
    assert "hs_analytics_num_visits" not in columns


def test_all_properties_are_read_where_asked_for(portal: Callable[..., Any]) -> None:
    api = portal({"properties": {"contacts": ["*"]}})
    api.sandbox.load("people", _people(1))

    assert "hs_analytics_num_visits" in _pull(api, "contacts")[0].records[0]["properties"]


def test_too_many_properties_for_a_url_are_read_by_batch(portal: Callable[..., Any], monkeypatch: Any) -> None:
    """Quirk 7: the vendor answers 414; the ids are listed and the properties read by a batch, in pages as before."""
    api = portal()
    extra = {f"a_rather_long_property_name_of_our_own_{number:04}": number for number in range(300)}
    api.sandbox.load("people", _people(120))
    api.sandbox.load("people", [{"id": "120", "extra": extra}])
    requests = api.sandbox.requests

    pages = _pull(api, "contacts")

    last = next(record for page in pages for record in page.records if record["id"] == "120")
    assert [str(n) for n in range(1, 121)] == _ids(pages)
    assert extra.items() <= last["properties"].items()
    assert requests["POST /crm/objects/2026-03/{type}/batch/read"] == 2


def test_without_the_detour_the_vendor_refuses_so_long_a_url(portal: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(objects, "MAX_PROPERTIES_CHARS", 1_000_000)
    api = portal()
    api.sandbox.load("people", [{"id": "1", "extra": {f"a_rather_long_property_name_{n:04}": n for n in range(400)}}])

    with pytest.raises(Exception, match="414"):
        _pull(api, "contacts")


@pytest.mark.parametrize("incremental", [False, True], ids=["inline", "by batch"])
def test_a_deal_names_one_contact_at_most_and_always_the_same(
    portal: Callable[..., Any], clock: Any, incremental: bool
) -> None:
    """Quirk 13: search brings no associations; and two people's ids on one record would make one person of them."""
    api = portal()
    changed = clock() - timedelta(minutes=30)
    deals = [
        {"id": "70", "contact_ids": ["1002", "999", "1001"], "company_id": "900"},
        {"id": "71", "contact_ids": [], "company_id": "901"},
        {"id": "72"},
        *({"id": str(n), "contact_ids": [str(n)]} for n in range(1000, 1180)),
    ]
    api.sandbox.load("deals", [{"name": "x", "stage": "New", "updated_at": changed, **deal} for deal in deals])
    stream = _stream("deals")

    pages = _pull(api, "deals", clock() - timedelta(hours=1) if incremental else None)

    found = {
        record["id"]: (pick(record, stream.identifiers["contact_id"]), pick(record, stream.identifiers["company_id"]))
        for page in pages
        for record in page.records
    }
    assert {"contact_id", "company_id"} == set(stream.identifiers)
    assert (found["70"], found["71"], found["72"]) == (("999", "900"), (None, "901"), (None, None))
    assert found["1170"] == ("1170", None)


def test_a_deal_in_canonical_words(portal: Callable[..., Any]) -> None:
    """Quirks 11, 12: the stage by its label, a close date only where closed, the portal's currency where the deal has none."""
    api = portal()
    closed = datetime(2026, 2, 3, tzinfo=UTC)
    api.sandbox.load(
        "deals",
        [
            {"id": "1", "stage": "Closed won", "won": True, "closed": True, "amount": "1500.50", "currency": "sek",
             "closed_at": closed},
            {"id": "2", "stage": "Contract sent", "won": False, "closed": False, "amount": "20", "closed_at": closed},
            {"id": "3", "stage": "Contract sent", "amount": None},
        ],
    )  # fmt: skip
    stream = _stream("deals")

    records = _pull(api, "deals")[0].records

    assert [
        {"stage": "Closed won", "won": True, "amount": Money(150050, "SEK"), "currency": "SEK", "closed_at": closed},
        {"stage": "Contract sent", "won": False, "amount": Money(2000, "EUR"), "currency": "EUR", "closed_at": None},
        {"stage": "Contract sent", "won": None, "amount": None, "currency": "EUR", "closed_at": None},
    ] == [{name: pick(record, where) for name, where in stream.fields.items()} for record in records]
    assert api.sandbox.requests["GET /account-info/2026-03/details"] == 1


def test_a_deal_without_a_known_currency_has_no_amount(portal: Callable[..., Any]) -> None:
    api = portal(scopes=HubSpotSandbox().scopes - {"oauth"})
    api.sandbox.load("deals", [{"id": "1", "stage": "New", "amount": "5"}])

    record = _pull(api, "deals")[0].records[0]

    assert pick(record, _stream("deals").fields["amount"]) is None


def test_a_contact_in_canonical_words(portal: Callable[..., Any]) -> None:
    api = portal()
    created = datetime(2025, 5, 6, 7, 8, 9, 123_000, tzinfo=UTC)
    person = {
        "id": "151", "email": "Ann@example.com", "first_name": "Ann", "last_name": "Berg", "phone": "+46 1",
        "country": "Sverige",
        "language": "sv-se", "job_title": "CTO", "lifecycle_stage": "customer", "company_id": "900", "created_at": created,
        "additional_emails": ["a.berg@example.com"], "extra": {"app_user": "u-42", "hubspot_owner_id": "77"},
    }  # fmt: skip
    api.sandbox.load("people", [person])
    stream = _stream("contacts", user_id_property="app_user")

    record = _pull(api, "contacts")[0].records[0]

    assert {
        "email": "Ann@example.com", "first_name": "Ann", "last_name": "Berg", "phone": "+46 1", "country": "Sverige",
        "language": "sv-se", "job_title": "CTO", "created_at": created, "lifecycle_stage": "customer", "owner": "77",
    } == {name: pick(record, where) for name, where in stream.fields.items()}  # fmt: skip
    assert {kind: pick(record, where) for kind, where in stream.identifiers.items()} == {
        "email": ["Ann@example.com", "a.berg@example.com"], "contact_id": "151", "company_id": "900", "user_id": "u-42",
    }  # fmt: skip
    assert pick(record, stream.key) == "151"


def test_a_company_in_canonical_words(portal: Callable[..., Any]) -> None:
    api = portal()
    company = {"id": "900", "name": "Nordic Candles", "domain": "candles.example.com", "employees": 12, "country": "SE"}
    api.sandbox.load("companies", [{**company, "extra": {"hs_additional_domains": "wax.example.com"}}])
    stream = _stream("companies")

    record = _pull(api, "companies")[0].records[0]

    assert pick(record, stream.fields["name"]) == "Nordic Candles"
    assert pick(record, stream.fields["employees"]) == 12
    domains = pick(record, stream.identifiers["company_domain"])
    assert (domains, pick(record, stream.identifiers["company_id"])) == (["candles.example.com", "wax.example.com"], "900")


def test_start_leaves_out_what_has_not_changed_since(portal: Callable[..., Any]) -> None:
    api = portal({"start": "2026-01-01"})
    api.sandbox.load("people", [*_people(2), *_people(2, start=3, at=BEGAN - timedelta(days=1))])

    assert _ids(_pull(api, "contacts")) == ["1", "2"]


def test_a_token_without_the_scope_is_an_auth_error_that_names_it(portal: Callable[..., Any]) -> None:
    api = portal(scopes={"crm.schemas.contacts.read"})

    with pytest.raises(AuthError, match=r"crm\.objects\.contacts\.read"):
        _pull(api, "contacts")
