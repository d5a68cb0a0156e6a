"""Google Analytics: sums of days, replaced while they change; quotas left to others; two ways of signing in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import respx
from pydantic import ValidationError
from support.connected import Connected

from connectors.google_analytics import MANIFEST, Settings, account, auth, check, reports
from connectors.google_analytics.answers import classify, rest_until
from connectors.google_analytics.sandbox import GoogleAnalyticsSandbox
from core.contract import ResponseView, Result
from core.errors import AuthError, ProtocolError, QuotaExhausted, RateLimited, TransientError
from core.sandbox import serve

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE / "schemas/report.json").read_text())
REPORT = json.loads((HERE / "payloads/report.json").read_text())["response"]["body"]
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
GIVEN = {"property_id": "1", "user_dimension": "crm_id", "start": "2026-01-01", "client_id": "c", "client_secret": "s"}
Make = Callable[..., Any]


def did(number: int, user: str | None, name: str, at: datetime) -> Mapping[str, Any]:
    """Return an event as the sandbox is told of it."""
    return {"id": f"e{number}", "user_id": user, "name": name, "at": at, "properties": {}}


def records(api: Any, cursor: datetime | None = None) -> list[dict[str, Any]]:
    """Return what a pull brings."""
    return [record for page in reports.pull_days(api, cursor, None) for record in page.records]


def pull_into(store: Any, api: Any, clock: Any) -> None:
    """Pull everything as a run would."""
    mine = Connected(store, clock, "google_analytics", dict(api.sandbox.settings()), name="it")
    (result,) = mine.pull(api).streams
    assert result.complete, result.error


@pytest.fixture
def property_api(sandbox_api: Make, clock: Any) -> Make:
    """`property_api(events, **switches)`: an api against a property that saw *events*; `.sandbox`."""

    def make(events: list[Mapping[str, Any]], *, settings: Mapping[str, object] | None = None, **switches: Any) -> Any:
        sandbox = GoogleAnalyticsSandbox(now=clock, **switches)
        sandbox.load("events", events)
        return sandbox_api("google_analytics", sandbox, **{"start": "2026-02-01", **(settings or {})})

    return make


def test_values_are_numbers_by_their_headers(respx_mock: respx.MockRouter, fake_api: Make) -> None:
    """Quirk 2; and the body that we send is one that the discovery document knows."""
    respx_mock.post("https://oauth2.googleapis.com/token").respond(json={"access_token": "t", "expires_in": 3599})
    route = respx_mock.post("https://analyticsdata.googleapis.com/v1beta/properties/1:runReport").respond(json=REPORT)
    metrics = ("eventCount", "userEngagementDuration")
    api = fake_api("google_analytics", {**GIVEN, "start": "2026-02-10", "metrics": metrics, "refresh_token": "r"})
    (record,) = records(api)

    assert (7, 12.5) == (record["eventCount"], record["userEngagementDuration"])
    assert datetime(2026, 2, 27, 23, tzinfo=UTC) == record["at"]
    assert {"eventCount": 7, "userEngagementDuration": 12.5} == next(reports.rows(record)).values["properties"]
    for call in route.calls:
        jsonschema.validate(json.loads(call.request.content), SCHEMA)


def test_nobody_is_nobody(property_api: Make) -> None:
    """Quirk 6: neither those whom the dimension does not name, nor those whom Google folded together."""
    day = NOW - timedelta(days=3)
    api = property_api([did(1, "u-1", "view", day), did(2, None, "view", day), did(3, "(other)", "view", day)])

    assert ["u-1"] == [record["customUser:crm_id"] for record in records(api)]


def test_pages_of_one_report_hold_every_row_once(property_api: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quirk 4: in an order that the request asks for."""
    monkeypatch.setattr(reports, "LIMIT", 7)
    day = NOW - timedelta(days=3)
    api = property_api([did(n, f"u-{n}", "view", day) for n in range(40)])
    found = [record["customUser:crm_id"] for record in records(api)]

    assert sorted(f"u-{n}" for n in range(40)) == sorted(found)


def test_a_report_without_rows_is_no_failure(property_api: Make) -> None:
    """Quirk 2: its cursor moves all the same."""
    api = property_api([])
    pages = list(reports.pull_days(api, None, None))

    assert [0] == [len(page.records) for page in pages]
    assert datetime(2026, 3, 1, 23, tzinfo=UTC) == pages[-1].cursor


def test_today_is_left_out_in_the_property_zone(property_api: Make) -> None:
    """Quirk 3: it is tomorrow already in Auckland when it is noon in Greenwich."""
    events = [did(1, "u-1", "view", NOW - timedelta(minutes=30)), did(2, "u-2", "view", NOW - timedelta(hours=2))]

    assert [] == records(property_api(events[:1], zone="Europe/Stockholm"))
    assert ["u-2"] == [one["customUser:crm_id"] for one in records(property_api(events, zone="Pacific/Auckland"))]


def test_the_last_three_days_are_replaced(property_api: Make, store: Any, clock: Any) -> None:
    """Quirk 3: what Google counts later is not added to what it counted before, and a name that is gone is gone."""
    late, older = NOW - timedelta(days=2), NOW - timedelta(days=9)
    api = property_api([did(1, "u-1", "view", late), did(2, "u-1", "view", older), did(3, "u-1", "wrong", late)])
    pull_into(store, api, clock)
    api.sandbox.load("events", [did(4, "u-1", "view", late)])
    api.sandbox.sums = Counter({key: n for key, n in api.sandbox.sums.items() if key[1] != "wrong"})
    clock.advance(timedelta(days=1))
    pull_into(store, api, clock)
    sql = """SELECT n.name, json_extract(e.properties, '$.eventCount') FROM events e
        JOIN event_names n ON n.id = e.name_id ORDER BY e.time"""

    assert [("view", 1), ("view", 2)] == store.conn.execute(sql).fetchall()


def test_half_a_report_moves_no_cursor(property_api: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull that dies in the middle reads the whole span again."""
    monkeypatch.setattr(reports, "LIMIT", 7)
    day = NOW - timedelta(days=3)
    api = property_api([did(n, f"u-{n}", "view", day) for n in range(20)])
    pages = list(reports.pull_days(api, None, None))

    assert [None] * (len(pages) - 1) == [page.cursor for page in pages[:-1]]
    assert pages[-1].cursor is not None
    assert 1 == len({page.replaces for page in pages})


def test_a_long_past_is_read_in_spans(property_api: Make) -> None:
    """Each with a cursor of its own, without a gap and without an overlap."""
    api = property_api([], settings={"start": "2025-11-15"})
    pages = list(reports.pull_days(api, None, None))
    spans = [page.replaces for page in pages]

    assert [span.end for span in spans if span] == [page.cursor for page in pages]
    assert all(a.end == b.start for a, b in pairwise(spans))
    assert datetime(2025, 11, 14, 23, tzinfo=UTC) == spans[0].start
    assert datetime(2026, 3, 1, 23, tzinfo=UTC) == spans[-1].end


@pytest.mark.parametrize("flag", ["dataLossFromOtherRow", "subjectToThresholding", "samplingMetadatas"])
def test_days_that_google_does_not_vouch_for_are_a_dead_letter(flag: str, property_api: Make) -> None:
    """Quirk 6: it names the days."""
    api = property_api([did(1, "u-1", "view", NOW - timedelta(days=3))], flags={flag: [{}]}, settings={"start": "2026-02-20"})
    (bad,) = [bad for page in reports.pull_days(api, None, None) for bad in page.bad]

    assert "2026-02-20 to 2026-03-01" == bad.ref
    assert "not to be trusted" in bad.reason


QUOTAS = {
    "Exhausted concurrent requests quota.": (RateLimited, None),
    "Exhausted property tokens per hour.": (QuotaExhausted, datetime(2026, 3, 2, 13, tzinfo=UTC)),
    "Exhausted potentiallyThresholdedRequestsPerHour.": (QuotaExhausted, datetime(2026, 3, 2, 13, tzinfo=UTC)),
    "Exhausted property tokens per day.": (QuotaExhausted, datetime(2026, 3, 3, 8, tzinfo=UTC)),
}


def _view(status: int, body: object) -> ResponseView:
    return ResponseView(status, {}, json.dumps(body), "POST", "/properties/1:runReport", NOW)


@pytest.mark.parametrize("message", QUOTAS)
def test_the_message_says_which_quota(message: str) -> None:
    """Quirk 5: and so when to go on."""
    kind, resume_at = QUOTAS[message]
    error = classify(_view(429, {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED"}}))

    assert type(error) is kind
    assert resume_at == getattr(error, "resume_at", None)


def test_a_quota_that_is_used_up_pauses_the_connection(property_api: Make) -> None:
    """Quirk 5: nothing more is asked until then."""
    api = property_api([], says="Exhausted property tokens per hour.")
    for _ in range(2):
        with pytest.raises(QuotaExhausted):
            records(api)

    assert 1 == sum(n for name, n in api.sandbox.requests.items() if "runReport" in name)


def test_a_tenth_is_left_to_others(property_api: Make) -> None:
    """Quirk 5: the answer stands, and the next request waits for the next hour."""
    low = {"propertyQuota": {"tokensPerHour": {"remaining": 3999}, "tokensPerDay": {"remaining": 150_000}}}
    enough = {"propertyQuota": {"tokensPerHour": {"remaining": 4000}, "tokensPerDay": {"remaining": 20_000}}}
    day = {"propertyQuota": {"tokensPerHour": {"remaining": 1}, "tokensPerDay": {"remaining": 1}}}

    assert datetime(2026, 3, 2, 13, tzinfo=UTC) == rest_until(_view(200, low), None)
    assert rest_until(_view(200, enough), None) is None
    assert datetime(2026, 3, 3, 8, tzinfo=UTC) == rest_until(_view(200, day), None)
    with pytest.raises(QuotaExhausted):
        records(property_api([], rate_factor=0.1, settings={"start": "2025-11-01"}))


@pytest.mark.parametrize(
    ("switch", "said"), [({"enabled": False}, "not enabled"), ({"viewer": False}, "no Viewer of the property")]
)
def test_check_tells_the_two_refusals_apart(switch: dict[str, bool], said: str, property_api: Make) -> None:
    """Quirk 8: without the address that Google's message holds."""
    first = next(iter(check(property_api([], **switch))))

    assert Result.FAILED is first.result
    assert said in first.detail
    assert "http" not in first.detail


def test_a_scope_that_was_not_granted_is_named() -> None:
    """Quirk 8: a box that was unticked at the sign-in is no lack of a role at the property."""
    body = {"code": 403, "message": "Request had insufficient authentication scopes.", "status": "PERMISSION_DENIED"}
    error = classify(_view(403, {"error": body}))

    assert isinstance(error, AuthError)
    assert "analytics.readonly" in error.message


@pytest.mark.parametrize("count", [0, None, 1])
def test_more_rows_than_the_count_says_are_not_the_end(count: int | None, respx_mock: respx.MockRouter, fake_api: Make) -> None:
    """A count that is missing must not end the report after its first page."""
    respx_mock.post("https://oauth2.googleapis.com/token").respond(json={"access_token": "t", "expires_in": 3599})
    body = {**REPORT, "rows": REPORT["rows"] * 2, "rowCount": count}
    respx_mock.post("https://analyticsdata.googleapis.com/v1beta/properties/1:runReport").respond(json=body)
    api = fake_api("google_analytics", {**GIVEN, "start": "2026-02-10", "refresh_token": "r"})
    with pytest.raises(ProtocolError, match="not as many"):
        records(api)


def test_credentials_go_to_two_hosts_of_googles_and_no_other() -> None:
    """Not to whatever else is under googleapis.com, a bucket of somebody's among it."""
    assert ("analyticsdata.googleapis.com", "oauth2.googleapis.com") == MANIFEST.hosts


def test_another_property_is_refused(property_api: Make) -> None:
    """A number that the credentials do not see."""
    with pytest.raises(AuthError):
        account(property_api([], settings={"property_id": "987654321"}))


def test_check_names_a_dimension_that_is_not_there(property_api: Make) -> None:
    """Quirk 1."""
    steps = {step.name: step for step in check(property_api([], settings={"user_dimension": "customer"}))}

    assert "no customUser:customer" in steps["dimension and metrics"].detail
    assert "user-scoped" in steps["dimension and metrics"].remedy


def test_a_service_account_signs_for_itself(sandbox_api: Make, clock: Any) -> None:
    """The token server checks signature, issuer, audience, scope and key id; the token is renewed when it ends."""
    sandbox = GoogleAnalyticsSandbox(now=clock)
    with serve({"google_analytics": sandbox}) as served:
        base = served["google_analytics"].base_url
        api = sandbox_api("google_analytics", sandbox, **{**_no_person(), **sandbox.service_settings(), "base_url": base})
        assert "123456789" == account(api)
        sandbox._minted.clear()
        assert "123456789" == account(api)


def _no_person() -> dict[str, None]:
    return dict.fromkeys(("client_id", "client_secret", "refresh_token"))


def test_a_permission_that_was_taken_back_is_told(property_api: Make) -> None:
    """Not tried again and again."""
    api = property_api([])
    api.sandbox.desk.revoke()

    with pytest.raises(AuthError):
        account(api)


def test_signing_in_asks_for_a_refresh_token_every_time() -> None:
    """Quirk 9; and for nothing but reading."""
    asked = auth(Settings.model_validate(GIVEN))

    assert {"access_type": "offline", "prompt": "consent"} == asked.authorize_params
    assert ("https://www.googleapis.com/auth/analytics.readonly",) == asked.scopes
    assert asked.pkce


WRONG = [
    ({"property_id": "G-ABC123"}, "property's number"),
    ({"user_dimension": "crm id"}, "parameter's name"),
    ({"metrics": ["activeUsers"]}, "not the sum of the days"),
    ({"metrics": []}, "one to 10 metrics"),
    ({"service_account": "{}"}, "credentials of two kinds"),
    ({"client_id": None, "client_secret": None}, "no credentials"),
    ({"start": None}, "start"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_metrics_that_cannot_be_summed_are_refused(change: dict[str, object], said: str) -> None:
    """Quirk 7, and whatever else cannot be right is refused when the config is read."""
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({**GIVEN, **change})


def test_a_report_cut_short_is_asked_for_again(respx_mock: respx.MockRouter, fake_api: Make) -> None:
    """A lost connection is no end of the rows."""
    respx_mock.post("https://oauth2.googleapis.com/token").respond(json={"access_token": "t", "expires_in": 3599})
    route = respx_mock.post("https://analyticsdata.googleapis.com/v1beta/properties/1:runReport")
    route.side_effect = [httpx.Response(200, json=REPORT), httpx.ReadError, *[httpx.ReadError] * 4]
    with pytest.raises(TransientError):
        records(fake_api("google_analytics", {**GIVEN, "start": "2026-02-10", "refresh_token": "r"}))

    assert 1 + 5 == route.call_count
