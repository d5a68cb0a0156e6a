"""The sandbox is as unkind as the vendor: what it must refuse, it refuses, in the vendor's words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from connectors.hubspot.sandbox import SANDBOX, HubSpotSandbox

OBJECTS = "/crm/objects/2026-03/contacts"


@pytest.fixture
def ask(portal: Callable[..., Any]) -> Callable[..., httpx.Response]:
    """`ask(method, path, json=..., params=...)` without a client of ours between; `.sandbox` is the portal."""

    def make(method: str, path: str, *, token: str | None = None, **request: Any) -> httpx.Response:
        key = api.sandbox.token if token is None else token
        return httpx.request(method, api.served.base_url + path, headers={"authorization": f"Bearer {key}"}, **request)

    api = portal()
    make.sandbox = api.sandbox
    api.sandbox.load("people", [{"id": str(n), "email": f"p{n}@example.com"} for n in range(1, 6)])
    return make


def test_the_registry_finds_it() -> None:
    assert SANDBOX is HubSpotSandbox
    assert SANDBOX().settings().keys() == {"token"}


@pytest.mark.parametrize(
    ("method", "path", "request_"),
    [
        ("GET", OBJECTS, {"params": {"limit": 101}}),
        ("GET", OBJECTS, {"params": {"limit": 0}}),
        ("POST", f"{OBJECTS}/search", {"json": {"limit": 201}}),
        ("POST", f"{OBJECTS}/search", {"json": {"limit": 100, "after": "9950"}}),
        ("POST", f"{OBJECTS}/search", {"json": {"filterGroups": [{"filters": []}] * 6}}),
        ("POST", f"{OBJECTS}/search", {"json": {"sorts": [{"propertyName": "nothing"}]}}),
        (
            "POST",
            f"{OBJECTS}/search",
            {"json": {"filterGroups": [{"filters": [{"propertyName": "nothing", "operator": "EQ", "value": "1"}]}]}},
        ),
        ("POST", f"{OBJECTS}/search", {"content": b"not json"}),
        ("POST", f"{OBJECTS}/batch/read", {"json": {"inputs": [{"id": str(n)} for n in range(101)]}}),
        ("POST", f"{OBJECTS}/batch/read", {"json": {"idProperty": "firstname", "inputs": [{"id": "Ann"}]}}),
        ("POST", f"{OBJECTS}/batch/upsert", {"json": {"inputs": [{"idProperty": "email", "id": "a@example.com"}] * 2}}),
        ("POST", "/crm/associations/2026-03/contacts/deals/batch/read", {"json": {"inputs": [{"id": "1"}] * 101}}),
        ("POST", "/crm/lists/2026-03", {"json": {"name": "VIP"}}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_the_vendor_refuses(ask: Callable[..., httpx.Response], method: str, path: str, request_: dict[str, Any]) -> None:
    answer = ask(method, path, **request_)

    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


def test_a_batch_of_more_than_a_hundred_is_refused(ask: Callable[..., httpx.Response]) -> None:
    inputs = [{"id": str(n)} for n in range(1, 101)]

    assert ask("POST", f"{OBJECTS}/batch/read", json={"inputs": inputs}).status_code == 207
    assert ask("POST", f"{OBJECTS}/batch/read", json={"inputs": [*inputs, {"id": "101"}]}).status_code == 400


def test_a_wrong_token_is_refused_before_all_else(ask: Callable[..., httpx.Response]) -> None:
    answer = ask("GET", OBJECTS, token="wrong")

    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_only_properties_asked_for_come_back(ask: Callable[..., httpx.Response]) -> None:
    default = ask("GET", OBJECTS).json()["results"][0]["properties"]
    more = ask("GET", OBJECTS, params={"properties": "jobtitle,nothing"}).json()["results"][0]["properties"]

    assert "jobtitle" not in default
    assert more.keys() - default.keys() == {"jobtitle"}
    assert all(isinstance(value, str | None) for value in more.values())


def test_an_email_is_no_record_id(ask: Callable[..., httpx.Response]) -> None:
    list_ = ask.sandbox.make_list("VIP")
    path = f"/crm/lists/2026-03/{list_.id}/memberships/add-and-remove"

    assert ask("PUT", path, json={"recordIdsToAdd": ["p1@example.com"]}).status_code == 400


def test_an_active_list_cannot_be_written(ask: Callable[..., httpx.Response]) -> None:
    list_ = ask.sandbox.make_list("Active", "DYNAMIC")

    path = f"/crm/lists/2026-03/{list_.id}/memberships/add-and-remove"
    assert ask("PUT", path, json={"recordIdsToAdd": ["1"]}).status_code == 400


@pytest.mark.usefixtures("seconds")
@pytest.mark.parametrize(("path", "many", "policy"), [("search", 2, "SECONDLY"), ("list", 10, "TEN_SECONDLY_ROLLING")])
def test_its_limits_are_the_vendors(portal: Callable[..., Any], path: str, many: int, policy: str) -> None:
    """A client that does not pace itself is told so, each limit by its name; the limits are scaled down to *many*."""
    api = portal(rate_factor=many / (5 if path == "search" else 100))
    key = {"authorization": f"Bearer {api.sandbox.token}"}
    with httpx.Client(base_url=api.served.base_url, headers=key) as client:
        answers = [
            client.post(f"{OBJECTS}/search", json={}) if path == "search" else client.get(OBJECTS) for _ in range(many + 2)
        ]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers[:many]} == {200}
    assert {answer.json()["policyName"] for answer in refused} == {policy}
    assert "retry-after" not in refused[0].headers


def test_the_day_has_an_end(portal: Callable[..., Any]) -> None:
    api = portal(daily=2)
    key = {"authorization": f"Bearer {api.sandbox.token}"}

    answers = [httpx.get(api.served.base_url + OBJECTS, headers=key) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["X-HubSpot-RateLimit-Daily-Remaining"] == "1"
    assert answers[2].json()["policyName"] == "DAILY"


def test_an_app_has_no_day_and_search_no_headers(portal: Callable[..., Any]) -> None:
    """What a static token is told of its limits on every answer but a search's; an app's token only of the burst."""
    api = portal(daily=1)
    with api.sandbox._lock:
        app = api.sandbox.desk._issue(None)["access_token"]
    with httpx.Client(base_url=api.served.base_url) as client:
        static, signed_in, *more = (
            client.get(OBJECTS, headers={"authorization": f"Bearer {token}"}) for token in (api.sandbox.token, app, app)
        )
        search = client.post(f"{OBJECTS}/search", json={}, headers={"authorization": f"Bearer {app}"})

    told = [{name for name in answer.headers if "ratelimit" in name} for answer in (static, signed_in, search)]
    burst = {f"x-hubspot-ratelimit-{name}" for name in ("interval-milliseconds", "max", "remaining")}
    assert told == [burst | {"x-hubspot-ratelimit-daily", "x-hubspot-ratelimit-daily-remaining"}, burst, set()]
    assert [200] == [answer.status_code for answer in more]


def test_search_shows_late_and_get_at_once(portal: Callable[..., Any], clock: Any) -> None:
    api = portal(index_lag=timedelta(minutes=2))
    api.sandbox.load("people", [{"id": "1", "email": "ann@example.com", "job_title": "CEO"}])
    wanted = {"filterGroups": [{"filters": [{"propertyName": "jobtitle", "operator": "EQ", "value": "CEO"}]}]}

    assert api.post(f"{OBJECTS}/search", json=wanted)["total"] == 0
    assert len(api.get(OBJECTS)["results"]) == 1
    clock.advance(timedelta(minutes=2))
    api.sandbox.load("people", [{"id": "1", "job_title": "CTO"}])
    assert api.post(f"{OBJECTS}/search", json=wanted)["total"] == 1
    clock.advance(timedelta(minutes=2))
    assert api.post(f"{OBJECTS}/search", json=wanted)["total"] == 0


def test_who_is_deleted_or_merged_leaves_the_lists_and_that_is_not_logged(portal: Callable[..., Any]) -> None:
    """The log holds what was asked for through the API, so a test can hold it against what the hub says it did."""
    api = portal()
    api.sandbox.load("people", [{"id": str(n), "email": f"p{n}@example.com"} for n in range(1, 5)])
    api.sandbox.make_list("VIP", members=["1", "2", "3", "4"])

    api.sandbox.delete("people", ["1"])
    api.sandbox.merge("people", "2", "3")
    api.sandbox.forget("people", ["4"])

    assert api.sandbox.audiences() == {"VIP": frozenset({"3"})}
    assert api.sandbox.change_log == []


def test_a_merge_keeps_what_the_winner_lacked(portal: Callable[..., Any]) -> None:
    api = portal()
    api.sandbox.load(
        "people",
        [
            {"id": "1", "email": "ann@example.com", "job_title": "CTO", "additional_emails": ["a@example.com"]},
            {"id": "2", "email": "ann.berg@example.com", "first_name": "Ann"},
            {"id": "3", "email": "old@example.com"},
        ],
    )
    api.sandbox.load("deals", [{"id": "70", "stage": "New", "contact_ids": ["1"]}])
    api.sandbox.merge("people", "3", "1")
    api.sandbox.merge("people", "1", "2")

    won = api.sandbox.state.objects["contacts"]["2"]
    assert (won.properties["firstname"], won.properties["jobtitle"]) == ("Ann", "CTO")
    assert won.properties["hs_merged_object_ids"] == "1;3"
    assert won.properties["hs_additional_emails"] == "ann@example.com;a@example.com;old@example.com"
    assert api.sandbox.state.objects["deals"]["70"].linked["contacts"] == ["2"]


def test_what_it_does_not_have_is_a_key_error(portal: Callable[..., Any]) -> None:
    with pytest.raises(KeyError):
        portal().sandbox.load("invoices", [{"id": "1"}])


def test_an_id_must_look_like_the_vendors(portal: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="number"):
        portal().sandbox.load("people", [{"id": "ann", "email": "ann@example.com"}])
