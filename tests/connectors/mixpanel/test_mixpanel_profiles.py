"""Profiles: sessions and pages, what is asked for, names and ids as they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from mixpanel_rows import NOON, SETTINGS, event, payload, users

from connectors.mixpanel import profiles
from core.contract import Page
from core.errors import ProtocolError, RejectedError

ENGAGE = "POST /api/query/engage"
PEOPLE = [str(n) for n in range(25)]


def _ids(pages: list[Page]) -> list[str]:
    return [record["distinct_id"] for page in pages for record in page.records]


def test_a_profile_as_recorded(respx_mock: Any, fake_api: Any, pulled: Any) -> None:
    """The document's own example: one page, its $last_seen the cursor."""
    respx_mock.post("https://mixpanel.com/api/query/engage").mock(return_value=payload("engage_page"))
    (page,) = pulled(fake_api("mixpanel", SETTINGS), "profiles")

    assert ["42"] == [record["distinct_id"] for record in page.records]
    assert (datetime(2026, 3, 2, 9, 58, tzinfo=UTC), None) == (page.cursor, page.resume)


def test_pages_go_by_the_session(make_project: Any, pulled: Any) -> None:
    """Quirk 10: the first without, the others with the first one's; behind the shorter page there is nothing."""
    api = make_project(page_size=10)
    api.sandbox.load("users", users(*PEOPLE))
    pages = pulled(api, "profiles")
    bodies = [body for _, body in api.recorder.of(ENGAGE)]

    assert PEOPLE == _ids(pages)
    assert [10, 10, 5, 0] == [len(page.records) for page in pages]
    assert [None, "1", "2", "3"] == [body.get("page") for body in bodies]
    assert 1 == len({body.get("session_id") for body in bodies[1:]} - {None})
    assert "session_id" not in bodies[0]


def test_a_short_first_page_is_all(make_project: Any, pulled: Any) -> None:
    """Quirk 10: the snapshot was made for it, so nobody can have gone meanwhile; most pulls are one request."""
    api = make_project(page_size=100)
    api.sandbox.load("users", users(*PEOPLE))

    assert [25] == [len(page.records) for page in pulled(api, "profiles")]
    assert 1 == len(api.recorder.of(ENGAGE))


def test_a_profile_deleted_while_pages_are_read_hides_no_others(make_project: Any) -> None:
    """Quirk 10: it makes its page short, and what comes behind that page has not vanished."""
    api = make_project(page_size=5)
    api.sandbox.load("users", users(*PEOPLE))
    pull = profiles.pull_profiles(api, None, None)
    found = [next(pull)]
    api.sandbox.delete("users", [PEOPLE[7]])
    found += list(pull)

    assert [id_ for id_ in PEOPLE if id_ != PEOPLE[7]] == _ids(found)
    assert found[-1].resume is None


@pytest.mark.parametrize("status", [400, 200])
def test_a_page_behind_the_last_may_be_refused(respx_mock: Any, fake_api: Any, pulled: Any, status: int) -> None:
    """Quirk 10, unconfirmed: by a status or by a session of its own; the short page before it was the last then."""
    body = {**payload("engage_page").json(), "page_size": 2}
    (one,) = body["results"]
    full = {**body, "results": [one, {**one, "$distinct_id": "other"}]}
    last = {**body, "page": 1, "results": [{**one, "$distinct_id": "third"}]}
    beyond = {"error": "no such page", "status": "error"} if status == 400 else {**body, "session_id": "another"}
    answers = [httpx.Response(200, json=full), httpx.Response(200, json=last), httpx.Response(status, json=beyond)]
    respx_mock.post("https://mixpanel.com/api/query/engage").mock(side_effect=answers)
    pages = pulled(fake_api("mixpanel", SETTINGS), "profiles")

    assert [2, 1, 0] == [len(page.records) for page in pages]
    assert pages[-1].resume is None


def test_a_full_last_page_is_followed_by_an_empty_one(make_project: Any, pulled: Any) -> None:
    """Quirk 10: a full page never tells that it is the last."""
    api = make_project(page_size=5)
    api.sandbox.load("users", users(*PEOPLE))
    assert [5, 5, 5, 5, 5, 0] == [len(page.records) for page in pulled(api, "profiles")]


def test_total_is_not_believed(respx_mock: Any, fake_api: Any, pulled: Any) -> None:
    """Quirk 10: a `total` that counts the page ends nothing, one that counts all adds nothing."""
    first = {**payload("engage_page").json(), "page_size": 1, "total": 1}
    last = {**first, "page": 1, "results": [], "total": 9}
    import httpx

    respx_mock.post("https://mixpanel.com/api/query/engage").mock(
        side_effect=[httpx.Response(200, json=first), httpx.Response(200, json=last)]
    )
    assert [1, 0] == [len(page.records) for page in pulled(fake_api("mixpanel", SETTINGS), "profiles")]


def test_without_the_session_pages_would_lie(make_project: Any) -> None:
    """Quirk 10, of the sandbox: page 1 of a query of its own is not the second page of the first."""
    api = make_project(page_size=10)
    api.sandbox.load("users", users(*PEOPLE))
    profiles.ask(api, [])
    api.sandbox.delete("users", PEOPLE[:5])
    form = {"page": 1, "output_properties": "[]"}
    found = api.post("/api/query/engage", params={"project_id": "1234567"}, form=form)["results"]

    assert "15" == found[0]["$distinct_id"]  # 10 to 14 would never come
    api.recorder.seen.pop()


@pytest.mark.parametrize("session_over", ["refused", "new"])
def test_a_session_that_is_over_begins_anew(make_project: Any, pulled: Any, session_over: str) -> None:
    """Quirk 10, both ways: a RejectedError, which the core takes for "start over" with a broken pull's token."""
    api = make_project(page_size=10, session_over=session_over)
    api.sandbox.load("users", users(*PEOPLE))
    token = pulled(api, "profiles")[0].resume
    assert PEOPLE[10:] == _ids(pulled(api, "profiles", resume=token))
    api.sandbox.sessions.clear()
    with pytest.raises(RejectedError):
        pulled(api, "profiles", resume=token)


def test_a_page_of_another_number_stops(respx_mock: Any, fake_api: Any, pulled: Any) -> None:
    """Quirk 10: the same page for ever is no profile read twice."""
    body = {**payload("engage_page").json(), "page_size": 1}
    respx_mock.post("https://mixpanel.com/api/query/engage").respond(200, json=body)
    with pytest.raises(ProtocolError):
        pulled(fake_api("mixpanel", SETTINGS), "profiles")


def test_an_answer_that_is_no_page_stops(respx_mock: Any, fake_api: Any, pulled: Any) -> None:
    """Nobody at all is not what it says."""
    respx_mock.post("https://mixpanel.com/api/query/engage").respond(200, json={"status": "ok"})
    with pytest.raises(ProtocolError):
        pulled(fake_api("mixpanel", SETTINGS), "profiles")


def test_an_error_in_a_200_is_an_error(respx_mock: Any, fake_api: Any, pulled: Any) -> None:
    """Quirk 13: "uncached query" and its like."""
    respx_mock.post("https://mixpanel.com/api/query/engage").mock(return_value=payload("error_in_200"))
    with pytest.raises(RejectedError):
        pulled(fake_api("mixpanel", SETTINGS), "profiles")


def test_an_incremental_pull_asks_by_last_seen(project: Any, pulled: Any, clock: Any) -> None:
    """Quirk 11: who was updated since, in UTC without a zone; the cursor is the last of them."""
    project.sandbox.load("users", users("1", "2"))
    cursor = pulled(project, "profiles")[-1].cursor
    clock.advance(timedelta(hours=1))
    project.sandbox.load("users", users("2"))
    assert NOON == cursor
    (page,) = pulled(project, "profiles", cursor)

    assert (["2"], clock()) == (_ids([page]), page.cursor)
    assert 'properties["$last_seen"] > "2026-03-02T12:00:00"' == project.recorder.of(ENGAGE)[-1][1]["where"]
    assert "where" not in project.recorder.of(ENGAGE)[0][1]


def test_an_event_does_not_move_last_seen(project: Any, pulled: Any, clock: Any) -> None:
    """Quirk 11: an incremental pull brings nobody who only did something."""
    project.sandbox.load("users", users("1"))
    clock.advance(timedelta(hours=1))
    project.sandbox.load("events", [event(1, 0, user_id="1")])
    assert [] == _ids(pulled(project, "profiles", clock() - timedelta(minutes=1)))


def test_only_the_properties_that_are_wanted_are_asked_for(make_project: Any, pulled: Any) -> None:
    """The usual ones and the setting's; a profile may have two thousand."""
    api = make_project({"profile_properties": ["plan"]})
    api.sandbox.load("users", users("1", extra={"plan": "pro", "secret": "x"}))
    ((record,),) = [page.records for page in pulled(api, "profiles")]

    assert "pro" == record["properties"]["plan"]
    assert "secret" not in record["properties"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(42, "42"), ("0042", "0042"), ("$device:1f0c", "$device:1f0c"), ("", None), (None, None), (True, None)],
)
def test_ids_are_text(value: object, expected: str | None) -> None:
    """Quirk 12: "0042" keeps its zeros."""
    assert expected == profiles.distinct_id({"$distinct_id": value})


def test_ids_that_come_as_numbers_are_the_same_people(make_project: Any, pulled: Any) -> None:
    """Quirk 12: as in the document's own example."""
    api = make_project(integer_ids=True)
    api.sandbox.load("users", users("42", "0042"))
    assert ["42", "0042"] == _ids(pulled(api, "profiles"))


def test_a_profile_without_an_id_is_a_dead_letter(respx_mock: Any, fake_api: Any, pulled: Any) -> None:
    """The others of the page come."""
    body = payload("engage_page").json()
    body["results"].append({"$properties": {}})
    respx_mock.post("https://mixpanel.com/api/query/engage").respond(200, json=body)
    (page,) = pulled(fake_api("mixpanel", SETTINGS), "profiles")
    assert (1, 1) == (len(page.records), len(page.bad))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-11-02T08:00:00", datetime(2025, 11, 2, 8, tzinfo=UTC)),
        ("2025-11-02T10:00:00+02:00", datetime(2025, 11, 2, 8, tzinfo=UTC)),
        ("", None),
        ("yesterday", None),
        (None, None),
        (1772445600, None),
    ],
)
def test_times_without_a_zone_are_utc(text: object, expected: datetime | None) -> None:
    """Quirk 11."""
    found = profiles.as_utc(text)
    assert expected == found
    assert found is None or found.utcoffset() is not None
