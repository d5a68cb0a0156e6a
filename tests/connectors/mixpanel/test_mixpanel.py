"""Mixpanel: settings, hosts, sign-in, check, account, what its statuses mean, its limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from mixpanel_rows import NOON, SETTINGS, event, payload, users
from pydantic import ValidationError

from connectors.mixpanel import MANIFEST, Settings, auth, classify
from connectors.mixpanel.sandbox import PROJECT_SECRET
from core.contract import ResponseView, Result
from core.errors import AuthError, ConfigError, QuotaExhausted, RateLimited, RejectedError
from core.registry import load_connector

CONNECTOR = load_connector("mixpanel")
ENGAGE, EXPORT, COHORTS = "/api/query/engage", "/api/2.0/export", "/api/query/cohorts/list"


def _check(api: Any) -> dict[str, Any]:
    assert CONNECTOR.check is not None
    return {step.name: step for step in CONNECTOR.check(api)}


# Settings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "word"),
    [
        pytest.param({"project_id": "0f1e2d3c"}, "number", id="the token for the id"),
        pytest.param({"timezone": "Stockholm"}, "time zone", id="a zone that is none"),
        pytest.param({"timezone": "../etc/passwd"}, "time zone", id="a path"),
        pytest.param({"service_account": None}, "belong together", id="a secret without its account"),
        pytest.param({"service_account": None, "secret": None}, "project_secret", id="no way in"),
        pytest.param({"project_secret": "p" * 32}, "project_secret", id="two ways in"),
        pytest.param({"times": "project"}, "days", id="wall clock in a new project"),
        pytest.param({"start": None}, "date", id="no start"),
        pytest.param({"late_days": 400}, "90", id="a year of late days"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, Any], word: str) -> None:
    """Told when the config is read, before anything is asked."""
    with pytest.raises(ValidationError, match=word):
        Settings.model_validate({**SETTINGS, **change})


def test_a_project_id_may_be_a_number() -> None:
    """As people write it in TOML."""
    assert "77" == Settings.model_validate({**SETTINGS, "project_id": 77}).project_id


@pytest.mark.parametrize(
    ("region", "hosts"),
    [
        ("us", ("mixpanel.com", "data.mixpanel.com", "api.mixpanel.com")),
        ("eu", ("eu.mixpanel.com", "data-eu.mixpanel.com", "api-eu.mixpanel.com")),
        ("in", ("in.mixpanel.com", "data-in.mixpanel.com", "api-in.mixpanel.com")),
    ],
)
def test_hosts_by_region(
    respx_mock: Any, fake_api: Any, pulled: Any, field: Any, region: str, hosts: tuple[str, str, str]
) -> None:
    """Quirk 18: three hosts each, and credentials go to no other."""
    query, export, ingestion = hosts
    api = fake_api("mixpanel", {**SETTINGS, "region": region})
    respx_mock.get(f"https://{export}{EXPORT}").mock(return_value=payload("export"))
    respx_mock.post(f"https://{query}{ENGAGE}").mock(return_value=payload("engage_page"))
    respx_mock.post(f"https://{query}{COHORTS}").respond(200, json=[])
    updates = respx_mock.post(f"https://{ingestion}/engage").respond(200, json={"error": None, "status": 1})

    assert ["42"] == [record["user_id"] for page in pulled(api, "events") for record in page.records]
    assert ["42"] == [record["distinct_id"] for page in pulled(api, "profiles") for record in page.records]
    assert f"{region}/1234567" == CONNECTOR.account(api)
    field.create(api, "VIP", [*field.find(api, ["42"])["42"]])
    assert "authorization" in updates.calls.last.request.headers


def test_credentials_as_basic() -> None:
    """A service account's name and secret; a project secret is the name, with no password and no project_id."""
    basic = auth(Settings.model_validate(SETTINGS))
    assert ("tagalong.1.mp-service-account", "s" * 32) == (basic.username, basic.password.get_secret_value())
    old = auth(Settings.model_validate({**SETTINGS, "service_account": None, "secret": None, "project_secret": "p"}))
    assert ("p", "") == (old.username, old.password.get_secret_value())


def test_every_request_names_the_project(project: Any, pulled: Any) -> None:
    """Quirk 13: a service account may be in many projects."""
    project.sandbox.load("users", users("1"))
    pulled(project, "events"), pulled(project, "profiles"), CONNECTOR.account(project)
    assert {"1234567"} == {query.get("project_id") for _, query, _ in project.recorder.seen}


# Account and check -----------------------------------------------------------------------------------------------------


def test_account_is_region_and_project(project: Any) -> None:
    """Another project, or the same number elsewhere, never inherits a ledger; one query is what it costs."""
    assert "us/1234567" == CONNECTOR.account(project)
    assert {"POST /api/query/cohorts/list": 1} == dict(project.sandbox.requests)


def test_credentials_of_another_project_are_told(project: Any) -> None:
    """Quirk 13: the cohorts say which project was shown."""
    project.sandbox.cohorts = [{"id": 1, "name": "x", "project_id": 77}]
    with pytest.raises(ConfigError, match="77"):
        CONNECTOR.account(project)


def test_check_passes(project: Any) -> None:
    """Five steps, nothing written, and few of the hour's requests."""
    project.sandbox.load("events", [event(n, 0.2) for n in range(5)])
    steps = _check(project)

    assert {Result.PASSED} == {step.result for step in steps.values()}
    assert ["reach", "authenticate", "profiles", "token", "export"] == list(steps)
    assert "5 events" in steps["export"].detail
    assert 0 == project.sandbox.writes.total()
    assert 4 == project.sandbox.requests.total()


@pytest.mark.parametrize(
    ("settings", "switches", "failed", "word"),
    [
        pytest.param({"secret": "x" * 32}, {}, "authenticate", "expired", id="wrong secret"),
        pytest.param({"secret": "x" * 32}, {"wrong_key": 400}, "authenticate", "region", id="wrong secret as a 400"),
        pytest.param({"project_id": "77"}, {}, "authenticate", "project_id", id="a project it may not see"),
        pytest.param({"base_url": "http://127.0.0.1:9"}, {}, "reach", "region", id="nobody there"),
    ],
)
def test_check_says_what_to_do(make_project: Any, settings: Any, switches: Any, failed: str, word: str) -> None:
    """Quirk 13: a wrong secret, one that is refused as a bad request, a wrong project, a wrong host."""
    steps = _check(make_project(settings, **switches))
    assert [failed] == [name for name, step in steps.items() if step.result is Result.FAILED]
    assert word in steps[failed].remedy
    assert Result.SKIPPED is steps["export"].result


def test_check_of_a_plan_without_profiles(make_project: Any) -> None:
    """Quirk 13: skipped, with the stream to leave out; the export is still tried."""
    steps = _check(make_project(has_engage=False))
    assert (Result.SKIPPED, Result.PASSED) == (steps["profiles"].result, steps["export"].result)
    assert "streams" in steps["profiles"].remedy


def test_check_without_a_token_and_with_a_project_secret(make_project: Any) -> None:
    """Quirk 17: a token is needed only for writing; a project secret works, and its end is told."""
    old = {"service_account": None, "secret": None, "project_secret": PROJECT_SECRET, "token": None}
    api = make_project(old)
    steps = _check(api)

    assert Result.SKIPPED is steps["token"].result
    assert "2027" in steps["authenticate"].detail
    assert {Result.PASSED} == {steps[name].result for name in ("reach", "authenticate", "profiles", "export")}
    assert not any("project_id" in query for _, query, _ in api.recorder.seen)
    api.recorder.seen.clear()  # the schemas are of service accounts


@pytest.mark.parametrize(
    ("switches", "settings", "word"),
    [
        pytest.param({"old_project": True}, {"days": "utc", "times": "utc"}, "days", id="an old project taken for a new one"),
        pytest.param(
            {"old_project": True, "wall_clock": False}, {"times": "project"}, "times", id="an old one with true times"
        ),
    ],
)
@pytest.mark.parametrize("zone", ["Europe/Stockholm", "America/Los_Angeles"])
def test_check_finds_the_wrong_clock(make_project: Any, zone: str, switches: Any, settings: Any, word: str) -> None:
    """Quirk 4: the vendor says when it took an event in, so the clock that the events are dated by can be told."""
    api = make_project(settings, timezone=zone, **switches)
    rows = [event(n, 0.9, uploaded_at=NOON - timedelta(days=0.9) + timedelta(seconds=n)) for n in range(60)]
    api.sandbox.load("events", rows)
    step = _check(api)["export"]

    assert Result.FAILED is step.result
    assert word in step.detail
    right = make_project({}, timezone=zone, **switches)
    right.sandbox.load("events", rows)
    assert Result.PASSED is _check(right)["export"].result


def test_imports_of_old_days_are_no_evidence(project: Any) -> None:
    """Quirk 4: an event that came late says nothing of clocks."""
    project.sandbox.load("events", [event(n, 0.9, uploaded_at=NOON - timedelta(days=0.9, hours=1)) for n in range(9)])
    assert Result.PASSED is _check(project)["export"].result


# Answers and limits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        pytest.param("error_plan", ENGAGE, RejectedError, id="plan"),
        pytest.param("error_credentials", COHORTS, AuthError, id="credentials as a 400"),
        pytest.param("error_future", EXPORT, RejectedError, id="a day in the future"),
        pytest.param("error_too_many", EXPORT, RateLimited, id="429"),
        pytest.param("error_too_many_hour", ENGAGE, QuotaExhausted, id="429 of the hour"),
        pytest.param("error_in_200", ENGAGE, RejectedError, id="an error in a 200"),
        pytest.param("error_token", "/engage", AuthError, id="the token"),
        pytest.param("error_token", "https://api-eu.mixpanel.com/engage", AuthError, id="the token, by host"),
        pytest.param("engage_page", ENGAGE, type(None), id="a page"),
        pytest.param("cohorts", COHORTS, type(None), id="cohorts"),
        pytest.param("update_partial", "/engage", type(None), id="a batch that is partly bad"),
    ],
)
def test_classify(name: str, path: str, expected: type) -> None:
    """Quirks 1, 13 and 15: what the status alone does not say."""
    answer = payload(name)
    view = ResponseView(answer.status_code, answer.headers, answer.text, "POST", path, NOON)
    error = classify(view)

    assert expected is type(error)
    if isinstance(error, RateLimited):
        assert 60 == error.retry_after_s
    if isinstance(error, QuotaExhausted):
        assert NOON + timedelta(minutes=10) == error.resume_at


def test_errors_quote_nobody() -> None:
    """What the vendor wrote may hold what was sent."""
    body = '{"error":"to_date of ann@example.com","status":"error"}'
    error = classify(ResponseView(400, {}, body, "GET", EXPORT, NOON))
    assert error is not None
    assert "ann" not in str(error)


@pytest.mark.parametrize(("patience", "slept"), [("retry_after", 30), ("nothing", 60)])
def test_a_429_is_waited_out(make_project: Any, pulled: Any, patience: str, slept: float) -> None:
    """Quirk 1: as long as the vendor says, else in steps of a minute, and then the error is told."""
    api = make_project(rate_factor=0, patience=patience)
    with pytest.raises(RateLimited):
        pulled(api, "events")
    assert [slept] * 4 == api.slept


def test_a_429_of_the_hour_parks_the_connection(make_project: Any, pulled: Any) -> None:
    """Quirk 1: another tool has used up the hour; nothing is asked meanwhile."""
    api = make_project(rate_factor=0, patience="hour")
    with pytest.raises(QuotaExhausted):
        pulled(api, "events")
    assert ([], 1) == (api.slept, api.sandbox.requests.total())


def test_the_limits_are_kept_on_each_path_apart(make_project: Any, pulled: Any) -> None:
    """Quirk 1: sixty exports, of which three a second, leave sixty queries; the sixty-first of either pauses the connection."""
    api = make_project({"start": "2026-03-02"})
    for _ in range(9):
        pulled(api, "events")
    assert sum(api.slept) >= 2
    for _ in range(60):
        CONNECTOR.account(api)
    with pytest.raises(QuotaExhausted):
        CONNECTOR.account(api)
    assert {"GET /api/2.0/export": 9, "POST /api/query/cohorts/list": 60} == dict(api.sandbox.requests)


def test_limits_cover_every_host() -> None:
    """Globs are held against a path below the base URL, and against a whole URL of another host."""
    from fnmatch import fnmatch

    for path, count in (
        (EXPORT, 2), (f"https://data-eu.mixpanel.com{EXPORT}", 2), (ENGAGE, 1), (f"https://in.mixpanel.com{COHORTS}", 1),
        ("/engage", 1), ("https://api.mixpanel.com/engage", 1), ("https://api-eu.mixpanel.com/engage", 1),
    ):  # fmt: skip
        assert count == sum(any(fnmatch(path, glob) for glob in limit.paths) for limit in MANIFEST.limits), path
