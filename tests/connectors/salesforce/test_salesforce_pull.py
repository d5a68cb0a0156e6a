"""Reading by queries: what is asked, in which order, and what deleted, merged, converted and hidden things become."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from connectors.salesforce import vendor
from connectors.salesforce.pull import Place
from core.contract import Fault, Merge, Page
from core.errors import AuthError, ProtocolError, RejectedError
from core.registry import load_connector

SF = load_connector("salesforce")


def pages(api: Any, stream: str, cursor: datetime | None = None, resume: str | None = None) -> list[Page]:
    return list(SF.streams(api.settings)[stream].pull(api, cursor, resume))


def records(found: list[Page]) -> list[Any]:
    return [record for page in found for record in page.records]


def people(count: int, start: int = 1, **more: Any) -> list[dict[str, Any]]:
    return [
        {"id": str(n), "email": f"p{n}@example.com", "lifecycle_stage": "customer", "company_id": None, **more}
        for n in range(start, start + count)
    ]


def test_asks_for_what_changed_by_its_stamp_in_order(org: Callable[..., Any], clock: Any) -> None:
    """Gotcha: SystemModstamp, not LastModifiedDate; a time literal without quotes, deleted rows with it."""
    api = org()
    api.sandbox.load("people", people(3, updated_at=clock() - timedelta(days=2)))
    api.sandbox.load("people", people(1, start=2, updated_at=clock() - timedelta(hours=1)))
    found = pages(api, "contacts", clock() - timedelta(days=1))

    assert ["p2@example.com"] == [record["Email"] for record in records(found)]
    assert clock() - timedelta(hours=1) == found[-1].cursor
    assert found[-1].resume is None
    (soql,) = api.recorder.soql()
    assert soql.endswith(" FROM Contact WHERE SystemModstamp >= 2026-03-01T12:00:00.000Z ORDER BY SystemModstamp, Id")
    assert 1 == api.sandbox.requests["GET /services/data/v66.0/queryAll"]


def test_a_full_pull_goes_back_to_the_start_that_is_set(org: Callable[..., Any], clock: Any) -> None:
    api = org({"start": "2026-02-01"})
    api.sandbox.load("people", people(1, updated_at=clock() - timedelta(days=90)))
    api.sandbox.load("people", people(1, start=2))

    assert ["p2@example.com"] == [record["Email"] for record in records(pages(api, "contacts"))]


def test_values_come_by_the_type_of_their_field(org: Callable[..., Any], clock: Any) -> None:
    api = org({"extra_fields": {"opportunities": ["Probability"], "contacts": ["score__c"]}})
    api.sandbox.load("people", people(1, extra={"score": 7}, created_at=clock()))
    api.sandbox.load("deals", [{"id": "9", "amount": "1500.50", "closed": True, "won": True, "closed_at": clock()}])
    (person,), (deal,) = records(pages(api, "contacts")), records(pages(api, "opportunities"))

    assert (7.0, clock(), False) == (person["score__c"], person["CreatedDate"], person["HasOptedOutOfEmail"])
    assert (1500.5, date(2026, 3, 2), True) == (deal["Amount"], deal["CloseDate"], deal["IsWon"])
    assert "attributes" not in person


@pytest.mark.parametrize("rows", [2_000, 500, 1])
def test_pages_are_followed_as_their_address_says(org: Callable[..., Any], rows: int) -> None:
    """Gotcha: wide rows give fewer than 2,000 a page, and the next address says query where queryAll was asked."""
    api = org(page_rows=rows)
    count = 5 if rows == 1 else 2_500
    api.sandbox.load("people", people(count))
    found = pages(api, "contacts")

    assert {f"p{n}@example.com" for n in range(1, count + 1)} == {record["Email"] for record in records(found)}
    assert max(len(page.records) for page in found) <= 1_000
    assert [None] == [page.resume for page in found if page.resume is None]
    assert -(-count // rows) - 1 == api.sandbox.requests["GET /services/data/v66.0/query/{locator}"]


def test_a_pull_goes_on_behind_the_last_row(org: Callable[..., Any], clock: Any) -> None:
    """A broken pull takes up where it was, by stamp and id, however many rows share a stamp; no locator has to live."""
    api = org(page_rows=400)
    api.sandbox.load("people", people(1_000))
    first, *rest = pages(api, "contacts")
    clock.advance(timedelta(days=3))
    again = pages(api, "contacts", None, first.resume)

    ids = [record["Id"] for record in records([first, *again])]
    assert (1_000, 1_000) == (len(ids), len(set(ids)))
    assert records(rest) == records(again)


def test_an_old_locator_is_replaced_by_the_last_row(org: Callable[..., Any], clock: Any) -> None:
    """Gotcha: a locator lives two days; then the same query is asked again behind the last row."""
    api = org(page_rows=400)
    api.sandbox.load("people", people(1_000))
    found = []
    for page in SF.streams(api.settings)["contacts"].pull(api, None, None):
        found.append(page)
        clock.advance(timedelta(days=2, seconds=1))

    assert 1_000 == len({record["Id"] for record in records(found)}) == len(records(found))
    assert 3 == api.sandbox.requests["GET /services/data/v66.0/queryAll"]


def test_a_resume_token_of_another_version_starts_over(org: Callable[..., Any]) -> None:
    api = org()
    api.sandbox.load("people", people(2))

    assert 2 == len(records(pages(api, "contacts", None, '{"phase": "list"}')))
    assert Place() == Place.resumed("[]") == Place.resumed("nonsense") == Place.resumed(None)


def test_deleted_and_merged_rows_are_told(org: Callable[..., Any], clock: Any) -> None:
    """Gotcha: a merge shows the loser as deleted, with its winner; that is no deletion and says nothing of consent."""
    api = org()
    api.sandbox.load("people", people(4))
    cursor = clock()
    clock.advance(timedelta(minutes=5))
    api.sandbox.delete("people", ["1"])
    api.sandbox.merge("people", "2", "3")
    id_of = api.sandbox.state.id_of
    (page,) = pages(api, "contacts", cursor + timedelta(minutes=1))

    assert [id_of("Contact", "1")] == page.deleted
    assert [Merge(id_of("Contact", "2"), id_of("Contact", "3"))] == page.merged
    assert ["p3@example.com"] == [record["Email"] for record in page.records]


def test_a_purged_row_is_merely_absent(org: Callable[..., Any]) -> None:
    """What left the recycle bin leaves no trace: the weekly full pull misses it."""
    api = org()
    api.sandbox.load("people", people(2))
    api.sandbox.purge("people", ["1"])
    (page,) = pages(api, "contacts")

    assert (1, []) == (len(page.records), page.deleted)
    assert timedelta(days=7) == SF.streams(api.settings)["contacts"].full_every


def test_a_field_that_the_user_may_not_see_is_left_out(org: Callable[..., Any]) -> None:
    """Gotcha: one such field makes INVALID_FIELD of the whole query, so the object is described first."""
    api = org({"extra_fields": {"contacts": ["Tier__c", "no_such__c"]}}, hidden={"Contact.HasOptedOutOfEmail", "Contact.Phone"})
    api.sandbox.load("people", people(1, extra={"tier": "gold"}))
    (record,) = records(pages(api, "contacts"))

    assert not {"HasOptedOutOfEmail", "Phone", "no_such__c"} & record.keys()
    assert "gold" == record["tier__c"]  # as Salesforce spells it, whatever the setting does
    with pytest.raises(RejectedError) as caught:
        vendor.ask(api, "SELECT Id,Phone FROM Contact")
    assert "INVALID_FIELD" == caught.value.code


def test_compound_fields_are_never_asked_for(org: Callable[..., Any]) -> None:
    """A query job refuses address and location; their parts are fields of their own."""
    api = org({"extra_fields": {"contacts": ["MailingAddress", "MailingCity"]}})
    api.sandbox.load("people", people(1))
    (record,) = records(pages(api, "contacts"))

    assert "MailingCity" in record
    assert "MailingAddress" not in record


def test_a_converted_lead_is_its_contact(org: Callable[..., Any]) -> None:
    """Gotcha: converted leads stay queryable; they give no profile, no address and no consent, only who they are now."""
    api = org()
    lead = {"id": "5", "email": "ann@example.com", "lifecycle_stage": "lead", "company_id": None}
    api.sandbox.load("people", [lead])
    stream = SF.streams(api.settings)["leads"]
    (before,) = records(pages(api, "leads"))
    api.sandbox.load("people", [{**lead, "lifecycle_stage": "customer"}])
    (after,) = records(pages(api, "leads"))
    (contact,) = records(pages(api, "contacts"))

    assert stream.rows is not None
    assert ["profile", "consent"] == [row.kind for row in stream.rows(before)]
    assert [] == list(stream.rows(after))
    assert contact["Id"] == after["ConvertedContactId"] == after[str(stream.identifiers["contact_id"])]
    assert stream.identifiers["email"](after) is None
    assert stream.identifiers["email"](before) == contact["Email"]


def test_the_page_in_hand_as_the_next_one_is_a_circle(fake_api: Callable[..., Any], respx_mock: Any, payload: Any) -> None:
    token(respx_mock, payload)
    body = {**payload("query_page")["response"]["body"], "done": False}
    respx_mock.get(url__startswith="https://acme.my.salesforce.com/services/data/v66.0/sobjects").respond(json=DESCRIBED)
    respx_mock.get(url__startswith="https://acme.my.salesforce.com/services/data/v66.0/query").respond(json=body)
    api = fake_api("salesforce", {"domain": "acme", "client_id": "3MVG9", "client_secret": "s3cret"})

    with pytest.raises(ProtocolError, match="page in hand"):
        pages(api, "contacts")


@pytest.mark.parametrize(
    "body", [{}, [], None, {"totalSize": 1, "done": False, "records": [{}]}, {"done": True, "records": []}, {"totalSize": 1}]
)
def test_an_answer_without_its_parts_is_not_understood(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Any, body: Any
) -> None:
    token(respx_mock, payload)
    respx_mock.get(url__startswith="https://acme.my.salesforce.com/services/data/v66.0/query").respond(json=body)
    api = fake_api("salesforce", {"domain": "acme", "client_id": "3MVG9", "client_secret": "s3cret"})

    with pytest.raises(ProtocolError):
        vendor.ask(api, "SELECT Id FROM Contact")


def test_an_address_of_a_next_page_elsewhere_gets_no_credentials(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Any
) -> None:
    """A next page that the answer puts on another host is refused before anything is sent."""
    token(respx_mock, payload)
    body = {**payload("query_page")["response"]["body"], "done": False, "nextRecordsUrl": "https://evil.example.com/query"}
    respx_mock.get(url__startswith="https://acme.my.salesforce.com/services/data/v66.0/query").respond(json=body)
    api = fake_api("salesforce", {"domain": "acme", "client_id": "3MVG9", "client_secret": "s3cret"})

    with pytest.raises(ProtocolError, match=r"evil\.example\.com"):
        list(vendor.select(api, "SELECT Id FROM Contact"))


def test_what_the_page_of_the_guide_shows_is_read(fake_api: Callable[..., Any], respx_mock: Any, payload: Any) -> None:
    """Gotcha: datetimes have no colon in their offset; the recorded page is read to the same values as the sandbox's."""
    token(respx_mock, payload)
    respx_mock.get(url__startswith="https://acme.my.salesforce.com/services/data/v66.0/sobjects").respond(json=DESCRIBED)
    page = {**payload("query_page")["response"]["body"], "done": True}
    respx_mock.get(url__startswith="https://acme.my.salesforce.com/services/data/v66.0/queryAll").respond(json=page)
    api = fake_api("salesforce", {"domain": "acme", "client_id": "3MVG9", "client_secret": "s3cret"})
    (record,) = records(pages(api, "contacts"))

    assert "003xx0000012345AAA" == record["Id"]
    assert datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC) == record["SystemModstamp"]


def test_forbidden_things_stop_the_connection(org: Callable[..., Any]) -> None:
    api = org()
    body = b'[{"message":"The REST API is not enabled for this Organization.","errorCode":"API_DISABLED_FOR_ORG"}]'
    api.served.faults = lambda _m, path, _n: Fault(403, {"content-type": "application/json"}, body) if "query" in path else None

    with pytest.raises(AuthError) as caught:
        pages(api, "contacts")
    assert "API_DISABLED_FOR_ORG" == caught.value.code


FIELDS = ("Id", "SystemModstamp", "CreatedDate", "IsDeleted", "Email", "AccountId", "HasOptedOutOfEmail", "MasterRecordId")
TYPES = {"Id": "id", "SystemModstamp": "datetime", "CreatedDate": "datetime", "IsDeleted": "boolean"}
DESCRIBED = {"fields": [{"name": name, "type": TYPES.get(name, "string")} for name in FIELDS]}


def token(respx_mock: Any, payload: Any) -> None:
    """Answer the token request as the guide does."""
    body = payload("token")["response"]["body"]
    respx_mock.post("https://acme.my.salesforce.com/services/oauth2/token").respond(json=body)
