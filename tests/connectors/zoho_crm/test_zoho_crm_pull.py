"""Reading: page tokens, the modified-since header, more than they reach, what is gone, and who became somebody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from zoho_rows import NOON, c, contact, l, lead

from connectors.zoho_crm import objects
from core.contract import Kind, Merge, Page, Stream
from core.errors import AuthError, ProtocolError, RejectedError

AGO = NOON - timedelta(hours=1)
Streams = Callable[[Any, str], Stream]


def _ids(pages: Sequence[Page]) -> list[str]:
    return [record["id"] for page in pages for record in page.records]


def _gone(pages: Sequence[Page]) -> set[str]:
    return {id_ for page in pages for id_ in page.deleted}


def _merged(pages: Sequence[Page]) -> set[Merge]:
    return {merge for page in pages for merge in page.merged}


def _reads(api: Any, module: str = "Contacts") -> list[dict[str, Any]]:
    return api.recorder.of(f"/crm/v8/{module}")


def test_more_than_2000_records_are_read_by_page_token(org: Callable[..., Any], stream: Streams) -> None:
    """Quirk 1: `page` ends at 2,000; tokens go on, with the very query they came from, oldest change first."""
    api = org()
    api.sandbox.load("people", [contact(n) for n in range(1, 2102)])

    pages = list(stream(api, "contacts").pull(api, None, None))

    assert [c(n) for n in range(1, 2102)] == _ids(pages)
    reads = _reads(api)
    assert 11 == len(reads)
    assert all("page" not in read["query"] for read in reads)
    assert 1 == len({json.dumps({k: v for k, v in read["query"].items() if k != "page_token"}) for read in reads})
    assert [NOON - timedelta(days=9) + timedelta(seconds=n) for n in (200, 400)] == [page.cursor for page in pages[:2]]


def test_page_itself_would_end_at_2000(org: Callable[..., Any]) -> None:
    api = org()
    with pytest.raises(RejectedError) as raised:
        api.get("/crm/v8/Contacts", fields="id", per_page=200, page=11)

    assert "DISCRETE_PAGINATION_LIMIT_EXCEEDED" == raised.value.code


def test_an_incremental_pull_asks_with_the_modified_since_header(org: Callable[..., Any], stream: Streams) -> None:
    """The header has an offset, not a Z; and only what changed comes."""
    api = org()
    api.sandbox.load("people", [contact(1), contact(2, updated_at=NOON)])

    pages = list(stream(api, "contacts").pull(api, AGO, None))

    assert [c(2)] == _ids(pages)
    assert ["2026-03-02T11:00:00+00:00"] == [read["headers"]["if-modified-since"] for read in _reads(api)]
    assert {"Modified_Time", "asc"} == {_reads(api)[0]["query"][name] for name in ("sort_by", "sort_order")}


def test_204_and_304_mean_that_is_all(org: Callable[..., Any], stream: Streams) -> None:
    """Quirk 6: neither has a body; an empty organisation says 204, an unchanged one 304."""
    api = org()
    assert [] == _ids(list(stream(api, "deals").pull(api, None, None)))
    api.sandbox.load("people", [contact(1)])

    pages = list(stream(api, "contacts").pull(api, AGO, None))

    assert [] == _ids(pages)
    assert [None] * 3 == [page.cursor for page in pages]


def test_beyond_the_reach_of_tokens_the_header_moves_on(org: Callable[..., Any], stream: Streams) -> None:
    """Quirk 1: a chain of tokens reaches 100,000 records; then it starts again a second before the last one."""
    api = org(reach=400)
    api.sandbox.load("people", [contact(n) for n in range(1, 1001)])
    objects_reach, objects.REACH = objects.REACH, 400
    try:
        pages = list(stream(api, "contacts").pull(api, None, None))
    finally:
        objects.REACH = objects_reach

    assert {c(n) for n in range(1, 1001)} == set(_ids(pages))
    assert len(_ids(pages)) <= 1004  # the second before is read again
    headers = [read["headers"].get("if-modified-since") for read in _reads(api)]
    assert [None, None, "2026-02-21T12:06:39+00:00"] == headers[:3]


def test_more_in_one_second_than_tokens_reach_is_said(
    org: Callable[..., Any], stream: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be read, and must not go round for ever."""
    monkeypatch.setattr(objects, "REACH", 200)
    api = org(reach=10**6)
    api.sandbox.load("people", [contact(n, updated_at=NOON) for n in range(1, 700)])

    with pytest.raises(ProtocolError, match="share one second"):
        list(stream(api, "contacts").pull(api, None, None))


def test_more_records_without_a_token_are_not_the_end(org: Callable[..., Any], stream: Streams) -> None:
    """What the vendor does beyond its reach: nothing may be lost in silence."""
    api = org(reach=200)
    api.sandbox.load("people", [contact(n) for n in range(1, 402)])

    with pytest.raises(ProtocolError, match="no token"):
        list(stream(api, "contacts").pull(api, None, None))


def test_a_killed_pull_goes_on_where_it_stood(org: Callable[..., Any], stream: Streams) -> None:
    api = org()
    api.sandbox.load("people", [contact(n) for n in range(1, 601)])
    pages = stream(api, "contacts").pull(api, None, None)
    first = next(pages)
    pages.close()
    before = len(_reads(api))

    rest = list(stream(api, "contacts").pull(api, None, first.resume))

    assert [c(n) for n in range(201, 601)] == _ids(rest)
    assert 2 == len(_reads(api)) - before


def test_an_expired_token_is_not_sent(org: Callable[..., Any], stream: Streams, clock: Any) -> None:
    """Quirk 3: `page_token_expiry` is read; a pull resumed after it goes on by the header."""
    api = org()
    api.sandbox.load("people", [contact(n) for n in range(1, 401)])
    first = next(stream(api, "contacts").pull(api, None, None))
    clock.advance(timedelta(days=2))

    rest = list(stream(api, "contacts").pull(api, None, first.resume))

    assert {c(n) for n in range(201, 401)} <= set(_ids(rest))
    assert "page_token" not in _reads(api)[1]["query"]
    assert "2026-02-21T12:03:19+00:00" == _reads(api)[1]["headers"]["if-modified-since"]


def test_a_token_with_another_query_is_refused(org: Callable[..., Any]) -> None:
    """Quirk 3, the sandbox's side: the core starts over when a resumed token is refused."""
    api = org()
    api.sandbox.load("people", [contact(n) for n in range(1, 401)])
    token = api.get("/crm/v8/Contacts", fields="id", per_page=200)["info"]["next_page_token"]

    with pytest.raises(RejectedError):
        api.get("/crm/v8/Contacts", fields="id,Email", per_page=200, page_token=token)


def test_a_token_of_another_version_is_no_place(org: Callable[..., Any], stream: Streams) -> None:
    api = org()
    api.sandbox.load("people", [contact(1)])

    assert [c(1)] == _ids(list(stream(api, "contacts").pull(api, None, '{"other": 1}')))


def test_more_than_fifty_fields_come_in_passes_joined_by_id(org: Callable[..., Any], stream: Streams) -> None:
    """Quirks 2 and 4: at most 50 names a request, at most 100 ids."""
    api = org()
    extra = {f"Own_{n}": str(n) for n in range(60)}
    api.sandbox.load("people", [contact(n, extra=extra) for n in range(1, 151)])

    pages = list(stream(api, "contacts").pull(api, None, None))

    assert 150 == len(_ids(pages))
    assert all(record["Own_0"] == "0" and record["Own_59"] == "59" for page in pages for record in page.records)
    asked = [read["query"] for read in _reads(api)]
    assert 3 == len(asked)
    assert [None, 100, 50] == [len(query["ids"].split(",")) if "ids" in query else None for query in asked]
    with pytest.raises(RejectedError):
        api.get("/crm/v8/Contacts", fields=",".join(["id"] * 51))
    api.recorder.seen.pop()  # that one is no request of the connector's


def test_only_fields_that_the_organisation_has_are_asked_for(org: Callable[..., Any], stream: Streams) -> None:
    """Quirk 12: names are per organisation; its own are always read, what a list cannot carry never."""
    api = org()
    del api.sandbox.state.fields["Contacts"]["Title"]
    api.sandbox.load("people", [contact(1, extra={"Shoe_Size": "39"})])

    (record,) = next(stream(api, "contacts").pull(api, None, None)).records

    asked = _reads(api)[0]["query"]["fields"].split(",")
    assert "39" == record["Shoe_Size"]
    assert not {"Title", "Record_Image"} & set(asked)
    assert "Email_3" in asked  # a field of its own that is configured


@pytest.mark.parametrize("way", ["delete", "purge"])
def test_recycled_and_permanently_deleted_records_are_told(org: Callable[..., Any], stream: Streams, way: str) -> None:
    """Both kinds come by one list: `type=all`."""
    api = org()
    api.sandbox.load("people", [contact(1), contact(2), lead(3)])
    getattr(api.sandbox, way)("people", ["1", "3"])

    assert {c(1)} == _gone(list(stream(api, "contacts").pull(api, AGO, None)))
    assert {l(3)} == _gone(list(stream(api, "leads").pull(api, AGO, None)))
    assert {"all"} == {read["query"]["type"] for read in api.recorder.of("/deleted")}


def test_a_full_pull_asks_for_what_went_while_it_was_under_way(org: Callable[..., Any], stream: Streams) -> None:
    """What went before it is simply not there; what went between a page and the new cursor would never be told."""
    api = org()
    api.sandbox.load("people", [contact(1), contact(2)])
    pages = stream(api, "contacts").pull(api, None, None)
    assert 2 == len(next(pages).records)
    api.sandbox.delete("people", ["1"])

    assert {c(1)} == _gone(list(pages))


def test_the_list_of_deleted_records_ends_at_2000(org: Callable[..., Any], stream: Streams) -> None:
    """Quirk 8: the refusal at its end is no failure; the weekly full pull misses the rest."""
    api = org()
    api.sandbox.load("people", [contact(n) for n in range(1, 2202)])
    api.sandbox.delete("people", [str(n) for n in range(1, 2202)])

    assert 2000 == len(_gone(list(stream(api, "contacts").pull(api, AGO, None))))
    assert timedelta(days=7) == stream(api, "contacts").full_every


@pytest.mark.parametrize("discrete", [False, None])
def test_a_longer_list_of_deleted_records_is_read_to_its_end(
    org: Callable[..., Any], stream: Streams, discrete: bool | None
) -> None:
    """Quirk 8: by page number, or by token where there is one; no page says which it is."""
    api = org(discrete_deleted=discrete)
    api.sandbox.load("people", [contact(n) for n in range(1, 2202)])
    api.sandbox.delete("people", [str(n) for n in range(1, 2202)])

    assert 2201 == len(_gone(list(stream(api, "contacts").pull(api, AGO, None))))


def test_merges_appear_as_deletes(org: Callable[..., Any], stream: Streams) -> None:
    """Quirk 9: nobody says into whom; the winner comes with what it took over."""
    api = org()
    api.sandbox.load("people", [contact(1), contact(2)])
    api.sandbox.merge("people", "1", "2")

    pages = list(stream(api, "contacts").pull(api, AGO, None))

    assert {c(1)} == _gone(pages)
    assert set() == _merged(pages)
    (winner,) = pages[0].records
    read = stream(api, "contacts").identifiers["email"]
    assert callable(read)
    assert ["p2@example.com", "p1@example.com"] == read(winner)


@pytest.mark.parametrize("told", [("Converted__s", "Converted_Contact"), ("Converted__s",), ()], ids=str)
def test_a_converted_lead_is_gone_and_its_contact_stands_for_it(
    org: Callable[..., Any], stream: Streams, told: tuple[str, ...]
) -> None:
    """Quirk 10: the lead leaves the default list; whether it names its contact or not, the address does."""
    api = org(converted_fields=told)
    api.sandbox.load("people", [lead(1), lead(2)])
    api.sandbox.load("people", [contact(1, company_id="7")])

    assert [l(2)] == _ids(list(stream(api, "leads").pull(api, None, None)))
    assert {l(1)} == _gone(list(stream(api, "leads").pull(api, AGO, None)))
    assert {Merge(l(1), c(1))} == _merged(list(stream(api, "contacts").pull(api, AGO, None)))
    assert {Merge(l(1), c(1))} == _merged(list(stream(api, "contacts").pull(api, None, None)))


def test_a_conversion_without_its_contact_is_not_guessed(org: Callable[..., Any], stream: Streams) -> None:
    """Quirk 10: two contacts with the lead's address are no answer."""
    api = org(converted_fields=())
    api.sandbox.load("people", [lead(1), contact(2, email="p1@example.com")])
    api.sandbox.load("people", [contact(1, company_id="7")])

    assert set() == _merged(list(stream(api, "contacts").pull(api, AGO, None)))


def test_without_leads_that_module_is_not_asked_for(org: Callable[..., Any], stream: Streams) -> None:
    api = org({"leads": False})
    api.sandbox.load("people", [contact(1), lead(2)])

    list(stream(api, "contacts").pull(api, AGO, None))

    with pytest.raises(KeyError):
        stream(api, "leads")
    assert not [one for one in api.recorder.seen if "Leads" in f"{one['path']}{one['query']}"]


def test_opting_out_is_a_refusal_and_nothing_else_a_consent(org: Callable[..., Any], stream: Streams) -> None:
    """Quirk 14: unticked is no yes; a layout without the field says nothing."""
    api = org()
    api.sandbox.load("people", [contact(1, extra={"Email_Opt_Out": True}), contact(2, extra={"Email_Opt_Out": False})])
    rows = stream(api, "contacts").rows
    assert rows is not None

    records = next(stream(api, "contacts").pull(api, None, None)).records
    states = [row.values["state"] for record in records for row in rows(record) if row.kind is Kind.CONSENT]

    assert ["denied", "unknown"] == states
    assert [Kind.PROFILE] == [row.kind for row in rows({"id": "1", "Email": "a@example.com"})]


def test_a_lead_opts_out_too(org: Callable[..., Any], stream: Streams) -> None:
    api = org()
    api.sandbox.load("people", [lead(1, extra={"Email_Opt_Out": True}, country="SE", job_title="Boss")])
    rows = stream(api, "leads").rows
    assert rows is not None

    profile, consent = rows(next(stream(api, "leads").pull(api, None, None)).records[0])

    assert ("denied", "SE", "Boss") == (consent.values["state"], profile.values["country"], profile.values["job_title"])


def test_tags_are_read_as_their_names(org: Callable[..., Any], stream: Streams) -> None:
    api = org()
    api.sandbox.load("people", [contact(1)])
    api.sandbox.state.tags["Contacts"] |= {"61": "VIP", "62": "Old"}
    api.sandbox.state.records["Contacts"][c(1)].tags |= {"61": None, "62": None}

    (record,) = next(stream(api, "contacts").pull(api, None, None)).records

    assert ["Old", "VIP"] == record["Tag"]


def test_ids_are_text_of_19_digits(org: Callable[..., Any], stream: Streams) -> None:
    """Quirk 26: as numbers they would lose their last digits."""
    api = org()
    api.sandbox.load("people", [contact(99_999_999_999)])

    (id_,) = _ids(list(stream(api, "contacts").pull(api, None, None)))

    assert "4150868299999999999" == id_


def test_a_setting_start_leaves_older_records_out(org: Callable[..., Any], stream: Streams) -> None:
    """The vendor is asked for no more than that."""
    api = org({"start": date(2026, 3, 1)})
    api.sandbox.load("people", [contact(1), contact(2, updated_at=NOON)])

    assert [c(2)] == _ids(list(stream(api, "contacts").pull(api, None, None)))
    assert "2026-03-01T00:00:00+00:00" == _reads(api)[0]["headers"]["if-modified-since"]


def test_deals_have_the_organisations_currency_unless_their_own(org: Callable[..., Any], stream: Streams) -> None:
    """Quirk 13: `Currency` is there with multi-currency only."""
    api = org()
    deal = {"id": "1", "name": "Big", "stage": "Closed Won", "won": True, "closed": True, "amount": "1500.50"}
    closed_at = datetime(2026, 1, 31, tzinfo=UTC)
    api.sandbox.load("deals", [{**deal, "currency": "SEK", "closed_at": closed_at}, {**deal, "id": "2", "amount": "7.10"}])

    first, second = next(stream(api, "deals").pull(api, None, None)).records

    amount = stream(api, "deals").fields["amount"]
    assert callable(amount)
    assert (150050, "SEK") == (amount(first).minor, amount(first).currency)
    assert (710, "EUR") == (amount(second).minor, amount(second).currency)


def test_a_missing_scope_ends_the_pull_and_names_it(org: Callable[..., Any], stream: Streams) -> None:
    api = org()
    api.sandbox.lacking.add("modules.deals.READ")

    with pytest.raises(AuthError, match=r"ZohoCRM\.modules\.deals\.READ") as raised:
        list(stream(api, "deals").pull(api, None, None))

    assert "OAUTH_SCOPE_MISMATCH" == raised.value.code
