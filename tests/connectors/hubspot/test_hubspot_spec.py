"""
Every request that we make, held against a published API document: a third party's of v3, from 2024 (the vendor's is not free).

Dated paths are mapped to v3. What the document lacks, or has otherwise than the card, is listed by name: the card decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from support.openapi import load_document, validate_request

from connectors.hubspot import account, check, streams
from connectors.hubspot.erasure import erase
from connectors.hubspot.lists import CompanyList, CompanyListParams, ListParams, StaticList
from core.contract import Change, Person, Ref, Sought

DATED = (
    (re.compile(r"^/crm/objects/2026-03/"), "/crm/v3/objects/"),
    (re.compile(r"^/crm/associations/2026-03/"), "/crm/v4/associations/"),
    (re.compile(r"^/crm/(lists|properties|pipelines)/2026-03"), r"/crm/v3/\1"),
    (re.compile(r"^/account-info/2026-03/"), "/account-info/v3/"),
)
NOT_THERE = {
    "GET /account-info/v3/details": "Docs, account-information; the card's section 2 has no such row",
    "GET /crm/v3/properties/{}": "card, section 2",
    "GET /crm/v3/pipelines/deals": "card, section 2",
    "POST /crm/v3/objects/contacts/batch/upsert": "card, section 4",
    "POST /crm/v3/lists": "card, section 4: create",
    "GET /crm/v3/lists/object-type-id/0-1/name/{}": "card, section 4: find list",
    "GET /crm/v3/lists/object-type-id/0-2/name/{}": "the same; companies are 0-2: card, section 2",
}
"""Operations that the document lacks, and where they are known from."""
OTHERWISE = {
    "body.limit: 200 is not of type 'string'": "card, section 3: a number",
    "body.sorts.0: {'propertyName': 'hs_object_id', 'direction': 'ASCENDING'} is not of type 'string'": "card: an object",
    "body.count: 1 is not of type 'string'": "card, section 3, lists: a number",
    "body.offset: 0 is not of type 'string'": "card, section 3, lists: a number",
    "body: 'objectTypeId' is not in the schema": "card, section 3, lists: there",
}
"""What the document has otherwise than the card."""


def _mapped(path: str) -> str:
    for dated, numbered in DATED:
        path = dated.sub(numbered, path)
    return path


def _operation(method: str, path: str) -> str:
    path = re.sub(r"(/properties|/name)/[^/]+$", r"\1/{}", path)
    return f"{method} {path}"


@pytest.fixture
def requests_made(portal: Callable[..., Any], clock: Any, monkeypatch: Any) -> list[tuple[str, str, Any, Any]]:
    """Make every request that the connector knows; return method, path, query and body of each."""
    api = portal()
    made: list[tuple[str, str, Any, Any]] = []

    app = api.sandbox.app

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        raw = b""

        async def heard() -> Any:
            nonlocal raw
            message = await receive()
            raw += message.get("body", b"")
            return message

        await app(scope, heard, send)
        body = json.loads(raw) if raw else None
        made.append((scope["method"], scope["raw_path"].decode(), parse_qsl(scope["query_string"].decode()), body))

    api.sandbox.app = noting
    recently = clock() - timedelta(minutes=30)
    api.sandbox.load("people", [{"id": str(n), "email": f"p{n}@example.com", "updated_at": recently} for n in range(1, 120)])
    api.sandbox.load("companies", [{"id": "900", "name": "Nordic Candles", "updated_at": recently}])
    api.sandbox.load("deals", [{"id": "70", "stage": "New", "amount": "5", "contact_ids": ["1"], "updated_at": recently}])
    account(api)
    list(check(api))
    for stream in streams(api.settings):
        for cursor in (None, clock() - timedelta(hours=1)):
            list(stream.pull(api, cursor, None))
    monkeypatch.setattr("connectors.hubspot.objects.MAX_PROPERTIES_CHARS", 0)
    for stream in streams(api.settings):
        list(stream.pull(api, None, None))
    audience = StaticList(ListParams())
    id_ = audience.lookup(api, "VIP") or audience.create(api, "VIP", [])
    audience.find(api, ["p1@example.com"])
    audience.create_people(api, [Person("new@example.com", {"first_name": "New"})])
    audience.apply(api, id_, [Change(Ref("1"))], [Ref("2")])
    list(audience.members(api, id_))
    firms = CompanyList(CompanyListParams())
    id_ = firms.lookup(api, "Big") or firms.create(api, "Big", [])
    firms.apply(api, id_, [Change(Ref("900"))], [Ref("901")])
    list(firms.members(api, id_))
    erase(api, Sought({"email": ["p9@example.com"]}, records={"contacts": ["9"]}))
    return made


def test_every_path_is_of_the_pinned_version(requests_made: list[tuple[str, str, Any, Any]]) -> None:
    """Quirk 21 (hubspot-api-python#495): nothing of v1 to v4 is asked for; each ends within the year."""
    assert len(requests_made) > 30
    for _, path, _, _ in requests_made:
        assert "/2026-03" in path
        assert not re.search(r"/v[1-4]/", path)


def test_every_request_is_one_that_the_document_knows(requests_made: list[tuple[str, str, Any, Any]]) -> None:
    document = load_document("hubspot.mit.json")
    lacking, problems, held = set(), set(), 0

    for method, dated, query, body in requests_made:
        path = _mapped(dated)
        found = validate_request(document, method, path, query, body)
        if any("no such path" in problem or "not this method" in problem for problem in found):
            lacking.add(_operation(method, path))
        else:
            held += 1
            problems |= set(found)

    assert problems == set(OTHERWISE)
    assert lacking == set(NOT_THERE)
    assert held > 20
