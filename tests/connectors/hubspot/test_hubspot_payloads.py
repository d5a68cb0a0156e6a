"""Each payload file is asked for as it says, and read as HubSpot means it: our reading of the docs, not HubSpot's word."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from connectors.hubspot import Settings, streams, vendor
from connectors.hubspot.lists import ListParams, StaticList
from core.contract import Change, Merge, Page, Ref

PAYLOADS = sorted((Path(__file__).parent / "payloads").glob("*.json"))
FIRST = datetime(2026, 2, 5, tzinfo=UTC)


class Recorded:
    """Answers requests from payload files, each only to exactly the request that it names."""

    def __init__(self, respx_mock: Any, payload: Callable[[str], dict[str, Any]]) -> None:
        self._router, self._payload = respx_mock, payload

    def play(self, *names: str) -> None:
        files = [self._payload(name) for name in names]

        def answer(request: httpx.Request) -> httpx.Response:
            asked = {"method": request.method, "path": request.url.raw_path.decode().partition("?")[0]}
            query = dict(parse_qsl(request.url.query.decode()))
            asked |= {"query": query} if query else {}
            asked |= {"body": json.loads(request.content)} if request.content else {}
            for file in files:
                if file["request"] == asked:
                    response = file["response"]
                    return httpx.Response(response["status"], headers=response["headers"], json=response["body"])
            raise AssertionError(f"nothing was recorded for {asked}")

        self._router.route(host="api.hubapi.com").mock(side_effect=answer)


@pytest.fixture
def recorded(respx_mock: Any, payload: Callable[[str], dict[str, Any]]) -> Recorded:
    return Recorded(respx_mock, payload)


@pytest.fixture
def api(fake_api: Callable[..., Any]) -> Any:
    return fake_api("hubspot", {"token": "pat-x"})


def _pull(api: Any, cursor: datetime | None) -> list[Page]:
    stream = next(each for each in streams(Settings(token="pat-x")) if each.name == "contacts")
    return list(stream.pull(api, cursor, None))


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_every_payload_says_where_it_is_from_and_names_nobody_real(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    source = json.loads(text)["source"]

    assert source["from"] in ("docs example", "own construction after the vendor's documentation")
    assert source["url"].startswith("https://developers.hubspot.com/docs/")
    assert date.fromisoformat(source["date"])
    assert set(re.findall(r"[\w.]+@([\w.]+)", text)) <= {"example.com"}


def test_a_full_pull(api: Any, recorded: Recorded) -> None:
    recorded.play("properties", "contacts_page", "contacts_archived")

    listed, archived = _pull(api, None)

    assert listed.records == [
        {
            "id": "151",
            "properties": {
                "email": "ann@example.com",
                "hs_additional_emails": ["ann.berg@example.com", "a@example.com"],
                "hs_merged_object_ids": ["140", "141"],
                "lastmodifieddate": datetime(2026, 2, 6, 7, 8, 9, 123_000, tzinfo=UTC),
                "seats_wanted": 17,
                "uses": ["a", "b"],
            },
        },
        {
            "id": "152",
            "properties": {
                "email": None,
                "hs_additional_emails": None,
                "hs_merged_object_ids": None,
                "lastmodifieddate": datetime(2026, 2, 6, 7, 8, 9, tzinfo=UTC),
                "seats_wanted": None,
                "uses": None,
            },
        },
    ]
    assert listed.merged == [Merge("140", "151"), Merge("141", "151")]
    assert archived.deleted == ["131"]


def test_an_incremental_pull(api: Any, recorded: Recorded) -> None:
    recorded.play("properties", "contacts_search", "contacts_archived")

    searched, archived = _pull(api, FIRST)

    assert [record["id"] for record in searched.records] == ["151"]
    assert searched.cursor == datetime(2026, 3, 2, 11, 55, tzinfo=UTC)
    assert archived.deleted == ["131"]


def test_people_by_address(api: Any, recorded: Recorded) -> None:
    recorded.play("contacts_batch_read_partial")

    found = StaticList(ListParams()).find(api, ["ann@example.com", "no@example.com"])

    assert found == {"ann@example.com": [Ref("151")]}


def test_a_list_by_name(api: Any, recorded: Recorded) -> None:
    recorded.play("list_found")

    assert StaticList(ListParams()).lookup(api, "Lifecycle: at_risk") == "77"


def test_a_change_of_members(api: Any, recorded: Recorded) -> None:
    recorded.play("memberships_changed")

    outcomes = StaticList(ListParams()).apply(api, "77", [Change(Ref(i)) for i in ("151", "152", "153")], [Ref("9"), Ref("8")])

    assert [(outcome.ref.remote_id, outcome.verdict.value) for outcome in outcomes] == [
        ("151", "done"),
        ("152", "not_found"),
        ("153", "noop"),
        ("9", "done"),
        ("8", "noop"),
    ]


def test_the_members_of_a_list(api: Any, recorded: Recorded) -> None:
    recorded.play("members_page")

    assert list(StaticList(ListParams()).members(api, "77")) == [[Ref("151"), Ref("153")]]


def test_associations_of_which_some_are_none(api: Any, recorded: Recorded) -> None:
    recorded.play("deal_associations")
    where = vendor.path("crm/associations", "deals", "contacts", "batch", "read")

    (found,) = vendor.read_batch(api, where, {"inputs": [{"id": "900"}, {"id": "901"}]})

    assert [each["toObjectId"] for each in found["to"]] == [152, 151]
