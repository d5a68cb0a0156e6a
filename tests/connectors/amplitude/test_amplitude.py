"""Amplitude: settings, regions, sign-in, check, the account, what its statuses mean, its limits, and the card's requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from amplitude_requests import Recorded
from amplitude_rows import HOUR, NOON, SETTINGS, event, make_world, payload, pulled
from pydantic import ValidationError

from connectors.amplitude import MANIFEST, Settings, classify
from connectors.amplitude.erasure import erase
from connectors.amplitude.sandbox import AmplitudeSandbox
from core.contract import Change, Fault, Ref, ResponseView, Result, Sought
from core.errors import AuthError, ConfigError, ProtocolError, RateLimited, RejectedError
from core.registry import load_connector

CONNECTOR = load_connector("amplitude")
US, EU = "https://amplitude.com", "https://analytics.eu.amplitude.com"


def _steps(api: Any) -> dict[str, Any]:
    assert CONNECTOR.check is not None
    return {step.name: step for step in CONNECTOR.check(api)}


@pytest.mark.parametrize(("given", "url"), [({}, US), ({"region": "us"}, US), ({"region": "eu"}, EU)], ids=str)
def test_the_region_is_a_host(given: dict[str, str], url: str) -> None:
    """Not the web app's host, which is called analytics.amplitude.com."""
    assert url == Settings.model_validate({**SETTINGS, **given}).base_url


def test_base_url_overrides_the_region() -> None:
    assert (
        "http://127.0.0.1:9" == Settings.model_validate({**SETTINGS, "region": "eu", "base_url": "http://127.0.0.1:9"}).base_url
    )


@pytest.mark.parametrize(
    "wrong",
    [{"region": "se"}, {"app_id": "My project"}, {"app_id": 0}, {"start": None}, {"min_id_length": 0}, {"regoin": "eu"}],
    ids=str,
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate({**SETTINGS, **wrong})
    assert [(*wrong,)] == [error["loc"] for error in raised.value.errors()]


@pytest.mark.parametrize("missing", ["api_key", "secret_key", "app_id", "start"])
def test_what_is_required(missing: str) -> None:
    """An event stream says from when; the project cannot be told from the keys."""
    with pytest.raises(ValidationError, match=missing):
        Settings.model_validate({key: value for key, value in SETTINGS.items() if key != missing})


def test_check_passes_and_writes_nothing(project: Any) -> None:
    steps = _steps(project)

    assert {"reach": "passed", "authenticate": "passed", "project": "passed", "cohorts": "passed"} == {
        name: step.result for name, step in steps.items()
    }
    assert "us/153957" in steps["project"].detail
    assert 0 == project.sandbox.writes.total()
    assert not project.sandbox.jobs


@pytest.mark.parametrize(
    ("settings", "failed", "skipped"),
    [
        ({"api_key": "x" * 32}, "authenticate", {"project", "cohorts"}),
        ({"secret_key": "x" * 32}, "authenticate", {"project", "cohorts"}),
        ({"base_url": "http://127.0.0.1:9"}, "reach", {"authenticate", "project", "cohorts"}),
        ({"app_id": 999}, "project", {"cohorts"}),
    ],
    ids=["wrong-key", "wrong-secret", "nobody-there", "another-project"],
)
def test_check_says_which_step_failed_and_what_to_do(
    make_project: Any, cohort: Any, settings: dict[str, Any], failed: str, skipped: set[str]
) -> None:
    api = make_project(settings)
    make_world(api.sandbox)
    api.sandbox.state.make_cohort("Somebody's", ["user-1"], "owner@example.com")
    steps = _steps(api)

    assert [failed] == [name for name, step in steps.items() if step.result is Result.FAILED]
    assert skipped == {name for name, step in steps.items() if step.result is Result.SKIPPED}
    assert steps[failed].remedy


@pytest.mark.parametrize(("region", "other"), [("us", "eu"), ("eu", "us")])
def test_check_names_the_region_in_which_the_keys_are_good(respx_mock: Any, fake_api: Any, region: str, other: str) -> None:
    """Quirk 12: keys of the one are 401 or 403 in the other, not a redirect."""
    hosts = {"us": US, "eu": EU}
    respx_mock.get(f"{hosts[region]}/api/2/events/list").respond(403, json={})
    respx_mock.get(f"{hosts[other]}/api/2/events/list").respond(json={"data": []})
    steps = _steps(fake_api("amplitude", {**SETTINGS, "region": region}))

    assert Result.FAILED is steps["authenticate"].result
    assert f'set region = "{other}"' in steps["authenticate"].detail


def test_check_names_no_region_where_the_keys_are_good_in_none(respx_mock: Any, fake_api: Any) -> None:
    for host in (US, EU):
        respx_mock.get(f"{host}/api/2/events/list").respond(401, json={})
    step = _steps(fake_api("amplitude", SETTINGS))["authenticate"]

    assert Result.FAILED is step.result
    assert 'region = "' not in step.detail


def test_account_is_region_and_project(project: Any) -> None:
    """Neither the same project number in the other region nor a test project inherits a ledger."""
    assert "us/153957" == CONNECTOR.account(project)


def test_a_plan_without_cohorts_can_be_pulled(project: Any, events: Any) -> None:
    """403 for cohorts alone: `check` says so without failing, and the project is what the settings say."""
    project.served.faults = lambda _m, path, _n: Fault(403, {}, b"{}") if path == "/api/3/cohorts" else None
    steps = _steps(project)

    assert (Result.PASSED, Result.SKIPPED) == (steps["project"].result, steps["cohorts"].result)
    assert "plan" in steps["cohorts"].remedy
    assert "us/153957" == CONNECTOR.account(project)
    assert pulled(events, project)[0]


def test_keys_of_another_project_are_told_by_its_cohorts(make_project: Any) -> None:
    """Quirk 9: a test project's keys where the live one's were, or the other way round."""
    api = make_project({"app_id": 999})
    assert "us/999" == CONNECTOR.account(api)  # no cohort yet: the first archive will tell
    make_world(api.sandbox)
    api.sandbox.state.make_cohort("Somebody's", ["user-1"], "owner@example.com")
    with pytest.raises(ConfigError, match="project 153957, and app_id says 999"):
        CONNECTOR.account(api)


def test_revoked_keys_stop_the_connection(make_project: Any, events: Any) -> None:
    """A person must act; nothing is tried again."""
    api = make_project({"secret_key": "x" * 32})
    with pytest.raises(AuthError, match="another region"):
        pulled(events, api)
    assert [] == api.slept


CLASSIFIED = [
    ("/api/2/export", 401, "{}", AuthError, None),
    ("/api/2/export", 403, "<html>", AuthError, None),
    ("/api/2/export", 404, "{}", None, None),
    ("/api/2/export", 404, "", None, None),
    ("/api/2/export", 404, '{"error": {"http_', ProtocolError, None),
    ("/api/3/cohorts/upload", 400, payload("upload_refused")["body"], RejectedError, "invalid_owner"),
    ("/api/3/cohorts/upload", 200, payload("upload_refused")["body"], RejectedError, "invalid_owner"),
    ("/api/3/cohorts/upload", 200, {"error": {"http_code": 403, "type": "plan"}}, AuthError, "plan"),
    ("/api/3/cohorts/membership", 200, {"error": {"http_code": 429, "type": "busy"}}, RateLimited, "busy"),
    ("/api/3/cohorts", 200, payload("cohorts")["body"], None, None),
    ("/api/3/cohorts", 200, [{"http_code": 1}], None, None),
    ("/api/3/cohorts/membership", 429, "{}", None, None),
    ("/api/5/cohorts/request/1", 429, "{}", RateLimited, None),
    ("https://api2.amplitude.com/identify", 429, payload("throttled")["body"], RateLimited, None),
    ("https://api2.amplitude.com/identify", 400, payload("invalid_api_key")["body"], AuthError, None),
    ("https://api2.amplitude.com/identify", 400, payload("missing_field")["body"], None, None),
]
"""Path, status, body; the error that it is, None where the table of statuses decides; its code."""


@pytest.mark.parametrize(("path", "status", "body", "kind", "code"), CLASSIFIED)
def test_classify(path: str, status: int, body: Any, kind: type | None, code: str | None) -> None:
    """Quirks 2 and 13 to 15: what the status alone does not say."""
    text = body if isinstance(body, str) else json.dumps(body)
    error = classify(ResponseView(status, {}, text, "POST", path, datetime(2026, 3, 2, tzinfo=UTC)))

    assert (kind or type(None)) is type(error)
    assert code == (error.code if error else None)


def test_a_retry_after_is_honoured_should_one_come() -> None:
    """Quirk 14: 15 s are ours only where the vendor says nothing."""
    view = ResponseView(429, {"retry-after": "40"}, "{}", "POST", "/identify", NOON)
    error = classify(view)

    assert isinstance(error, RateLimited)
    assert None is error.retry_after_s


def test_downloads_are_paced_and_the_export_too(sandbox_api: Any, cohort: Any, events: Any, clock: Any) -> None:
    """60 requests for members in ten minutes, one export a second: kept by us, so the vendor never has to say it."""
    sandbox = AmplitudeSandbox(now=clock, job_looks=0, file_elsewhere=False, rate_factor=1000)
    make_world(sandbox)
    api = sandbox_api("amplitude", sandbox)
    id_ = cohort.create(api, "At risk", [Ref("user-1")])
    for _ in range(21):
        list(cohort.members(api, id_))
    pulled(events, api)

    assert 540 < sum(api.slept) < 660
    assert {"/api/2/export", "*/identify"} <= {path for limit in MANIFEST.limits for path in limit.paths}


@pytest.mark.usefixtures("seconds")
def test_the_sandbox_refuses_who_does_not_pace(make_project: Any) -> None:
    """The harm without the limits: a 61st request for members, and a second request of a thousand users."""
    api = make_project(rate_factor=1.0)
    make_world(api.sandbox)
    id_ = api.sandbox.state.make_cohort("Somebody's", ["user-1"], "owner@example.com").id
    auth = (SETTINGS["api_key"], SETTINGS["secret_key"])
    users = [{"user_id": f"user-{n}", "user_properties": {"$set": {"x": True}}} for n in range(1000)]
    form = {"api_key": SETTINGS["api_key"], "identification": json.dumps(users)}
    with httpx.Client(base_url=api.served.base_url, auth=auth) as client:
        asked = [client.get(f"/api/5/cohorts/request/{id_}").status_code for _ in range(61)]
        sent = [client.post("/identify", data=form).status_code for _ in range(2)]

    assert ([202] * 60 + [429], [200, 429]) == (asked, sent)


def test_every_request_is_in_the_card(make_project: Any, events: Any, cohort: Any, field: Any) -> None:
    """One conversation that asks everything the connector can ask; the fixture holds it against the schemas."""
    api = make_project({"seed_user_id": "user-2", "min_id_length": 2})
    make_world(api.sandbox)
    _steps(api)
    pulled(events, api)
    id_ = cohort.create(api, "At risk", [Ref("nobody")])
    cohort.apply(api, id_, [Change(Ref("user-1")), Change(Ref("user-1"))], [Ref("user-3")])
    list(cohort.members(api, id_))
    field.apply(api, "seg_at_risk", [Change(Ref("user-1"))], [Ref("user-3")])
    erase(api, Sought({"user_id": ["user-1"]}))
    kinds = {request for request in api.sandbox.requests if api.sandbox.requests[request]}

    assert kinds == {f"{each.methods and min(each.methods - {'HEAD'})} {each.path}" for each in api.recorder.app.routes}
    assert [] == api.recorder.problems()


UPLOAD = {"name": "x", "app_id": 1, "id_type": "BY_USER_ID", "ids": ["a"], "owner": "a", "published": True}
MIXED = [{"user_id": "a", "user_properties": {"$set": {"x": True}, "y": 1}}]
REFUSED = [
    ("GET /api/2/export", {"start": "20260302T00", "end": "2026-03-02T01"}),
    ("POST /api/3/cohorts/upload", {**UPLOAD, "ids": []}),
    ("POST /api/3/cohorts/membership", {"ids": ["a", "a"], "id_type": "BY_NAME", "operation": "ADD"}),
    ("POST /api/3/cohorts/membership", {"ids": ["a"], "id_type": "BY_AMP_ID", "operation": "ADD"}),
    ("POST /identify", {"api_key": "k", "identification": MIXED}),
    ("GET /api/3/cohorts/7", {}),
]


@pytest.mark.parametrize(("asked", "what"), REFUSED)
def test_the_schemas_refuse_what_the_vendor_does(asked: str, what: Any) -> None:
    """Else holding requests against them would prove nothing."""
    recorder = Recorded(None)
    body = {"cohort_id": "1", "memberships": [what]} if asked.endswith("membership") else what
    recorder.seen.append((asked, body, {}))

    assert recorder.problems()


def test_the_sandbox_keeps_its_secrets_and_its_people(make_project: Any, events: Any) -> None:
    """Merged people: later events are the winner's, what was exported before stays; deletions tell nobody."""
    api = make_project()
    make_world(api.sandbox, events=0)
    api.sandbox.load("events", [event("before", NOON - 6 * HOUR, user_id="user-3")])
    api.sandbox.merge("users", "user-3", "user-4")
    api.sandbox.load("events", [event("after", NOON - 5 * HOUR, user_id="user-3"), event("gone", NOON - 5 * HOUR)])
    api.sandbox.delete("events", ["gone"])
    got = {record["$insert_id"]: record["user_id"] for record in pulled(events, api)[0]}

    assert {"before": "user-3", "after": "user-4"} == got
    for wrong in ("people", "members", "responses"):
        with pytest.raises(KeyError):
            api.sandbox.load(wrong, [{"id": "1"}])
