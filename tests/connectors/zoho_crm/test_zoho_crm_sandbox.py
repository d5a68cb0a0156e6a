"""The sandbox is as unkind as the vendor; here is what it refuses that the connector never sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from zoho_recorder import problems
from zoho_rows import contact

from connectors.zoho_crm.sandbox_coql import parse
from connectors.zoho_crm.sandbox_state import neutral_id, vendor_id
from core.contract import Refused
from core.errors import AuthError, RejectedError


@pytest.mark.parametrize(
    "query",
    [
        "select id from Contacts",
        "select id from Contacts where (Email = 'a' or Email = 'b' or Email = 'c')",
        "select id from Contacts where Email = 'a' and Email = 'b'",
        "select id from Contacts where Email in ('a'",
        "select id from Contacts where Email = 'a' limit 0, 2001",
        f"select id from Contacts where Email in ({', '.join(['1'] * 101)})",
        "select id from Contacts where Email = 'o'neil'",
    ],
)
def test_coql_refuses(query: str) -> None:
    """Quirk 18: no WHERE, a flat three-way or, more than 100 values, more than 2,000 rows, a bare apostrophe."""
    with pytest.raises(Refused):
        parse(query, ignore_case=True)


@pytest.mark.parametrize(("count", "credits"), [(200, 1), (1000, 2), (2000, 3)])
def test_coql_costs_by_its_limit(count: int, credits: int) -> None:
    query = parse(
        f"select id from Contacts where ((A = 'a' or B in ('o''neil')) and C = true) limit 0, {count}", ignore_case=True
    )

    assert credits == query.credits
    assert query.holds({"B": "O'Neil", "C": True})
    assert not query.holds({"A": "a", "C": False})


def test_ids_go_there_and_back() -> None:
    assert ("4150868200000100123", "100123") == (vendor_id("Contacts", "100123"), neutral_id("4150868200000100123"))
    with pytest.raises(ValueError, match="number"):
        vendor_id("Contacts", "abc")


@pytest.mark.parametrize("header", ["Bearer {}", "Zoho-oauthtoken {}x", ""])
def test_another_scheme_or_token_is_refused(org: Callable[..., Any], header: str) -> None:
    api = org()
    api.get("/crm/v8/org")
    said = httpx.get(
        f"{api.served.base_url}/crm/v8/org", headers={"authorization": header.format(api.sandbox.accounts.issued[0])}
    )
    api.recorder.seen.clear()

    assert (401, "INVALID_TOKEN") == (said.status_code, said.json()["code"])


@pytest.mark.parametrize("since", ["2026-03-02T11:00:00Z", "yesterday", "2026-03-02T11:00:00"])
def test_a_header_without_an_offset_is_refused(org: Callable[..., Any], since: str) -> None:
    api = org()
    with pytest.raises(RejectedError):
        api.request("GET", "/crm/v8/Contacts", params={"fields": "id"}, headers={"If-Modified-Since": since})
    api.recorder.seen.clear()


@pytest.mark.parametrize("query", [{}, {"fields": "id", "sort_by": "Email"}, {"fields": "id", "per_page": 201}])
def test_a_list_without_fields_or_sorted_by_another_is_refused(org: Callable[..., Any], query: dict[str, object]) -> None:
    api = org()
    with pytest.raises(RejectedError):
        api.get("/crm/v8/Contacts", params=query)
    api.recorder.seen.clear()


def test_the_schemas_see_what_the_card_forbids() -> None:
    """The judge itself: a request that overwrites tags, and one without a scheme."""
    bad = {"method": "POST", "path": "/crm/v8/Contacts/actions/add_tags", "query": {}, "headers": {"authorization": "Bearer x"}}
    said = problems({**bad, "raw": b'{"tags": [{"name": "VIP"}], "ids": ["1"], "over_write": true}'})

    assert 2 == len(said)
    assert ["GET /crm/v8/Campaigns is no endpoint of the card"] == problems(
        {**bad, "method": "GET", "path": "/crm/v8/Campaigns"}
    )


def test_what_it_does_not_have_is_a_key_error(org: Callable[..., Any]) -> None:
    api = org()
    for call in (lambda: api.sandbox.load("members", []), lambda: api.sandbox.delete("people", ["1"])):
        with pytest.raises(KeyError):
            call()


def test_an_unknown_module_or_a_missing_scope_is_refused_in_the_vendors_form(org: Callable[..., Any]) -> None:
    api = org()
    api.sandbox.load("people", [contact(1)])
    api.sandbox.lacking.add("modules.contacts.READ")

    with pytest.raises(AuthError) as lacking:
        api.get("/crm/v8/Contacts", fields="id")
    with pytest.raises(RejectedError) as unknown:
        api.get("/crm/v8/Nothing", fields="id")
    api.recorder.seen.clear()

    assert ("OAUTH_SCOPE_MISMATCH", "INVALID_MODULE") == (lacking.value.code, unknown.value.code)
