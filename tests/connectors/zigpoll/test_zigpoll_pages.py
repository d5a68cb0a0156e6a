"""Envelopes, cursors, the watermark, and the addresses that people typed on a slide of their own."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from support.surveys import sent
from zigpoll_rows import ADDRESS, BASE, SETTINGS, poll, responses

from connectors.zigpoll.listing import rows_of
from core.contract import Page
from core.errors import ProtocolError

small = pytest.mark.usefixtures("small_pages")


def _ids(pages: list[Page]) -> list[str]:
    return [record["_id"] for page in pages for record in page.records]


# Envelopes and cursors


@pytest.mark.parametrize("wrapped", [True, False])
def test_envelopes_are_mixed(survey: Any, pages: Any, clock: Any, wrapped: bool) -> None:
    """Gotcha, mixed envelopes: arrays here, `{data}` there, and polls and slides may be either (Quirk 1)."""
    api = survey(wrapped=wrapped)
    api.sandbox.load("surveys", [poll()])
    api.sandbox.load("responses", sent(3, clock()))

    assert ["NPS"] * 3 == [record["poll"]["title"] for page in pages(api) for record in page.records]


@pytest.mark.parametrize("body", [{}, {"data": None}, {"error": "x"}, "text", None, {"data": {"a": 1}}])
def test_an_envelope_that_is_none_is_said(body: Any) -> None:
    with pytest.raises(ProtocolError):
        rows_of(body)


def test_a_full_pull_asks_for_full_pages(survey: Any, pages: Any, clock: Any) -> None:
    """Newest first, by cursor, one account at a time; only the first page has no cursor."""
    api = survey()
    api.sandbox.load("surveys", [poll()])
    api.sandbox.load("responses", sent(2300, clock()))
    found = pages(api)

    assert [1000, 1000, 300] == [len(page.records) for page in found]
    assert [f"r{n:05}.score" for n in range(2300)] == _ids(found)
    assert [True, True, False] == [page.resume is not None for page in found]
    assert [False, False, True] == [page.cursor is not None for page in found]
    expected = {"limit": "1000", "accountId": "acc1"}
    cursors = [{}, {"startCursor": "r00999.score"}, {"startCursor": "r01999.score"}]
    assert [expected | cursor for cursor in cursors] == api.recorder.asked("/responses")


def test_a_page_may_hold_less_than_was_asked_for(survey: Any, pages: Any, clock: Any) -> None:
    """Unconfirmed what the cap is: a short page that announces another is no end."""
    api = survey(page=100)
    api.sandbox.load("surveys", [poll()])
    api.sandbox.load("responses", sent(250, clock()))

    assert [100, 100, 50] == [len(page.records) for page in pages(api)]


@small
def test_the_last_cursor_again_is_the_end(survey: Any, pages: Any, clock: Any) -> None:
    """Quirk 4: a next page is announced with the same cursor, after a page that is not full, or empty."""
    for count in (130, 100, 0):
        api = survey(repeats_cursor=True)
        api.sandbox.load("surveys", [poll()])
        api.sandbox.load("responses", sent(count, clock()))
        found = pages(api)

        assert count == len(_ids(found)), count
        assert found[-1].resume is None


@pytest.mark.parametrize("following", ["c1", "", None])
def test_a_full_page_that_leads_nowhere_is_said(respx_mock: Any, fake_api: Any, following: str | None) -> None:
    """Quirk 4: more is announced after a full page, and cannot be had: an error, and the checkpoint stays."""
    api = fake_api("zigpoll", SETTINGS)
    respx_mock.get(f"{BASE}/polls").respond(json=[])
    respx_mock.get(f"{BASE}/slides").respond(json={"data": []})
    at = "2026-01-01T00:00:00Z"
    full = [[{"_id": f"{page}-{n}", "createdAt": at} for n in range(1000)] for page in range(2)]
    answers = [
        {"data": full[0], "hasNextPage": True, "endCursor": "c1"},
        {"data": full[1], "hasNextPage": True, "endCursor": following},
    ]
    respx_mock.get(f"{BASE}/responses").mock(side_effect=[httpx.Response(200, json=answer) for answer in answers])
    walk = responses(api).pull(api, None, None, "acc1")
    next(walk)

    with pytest.raises(ProtocolError, match="no new cursor"):
        next(walk)


@small
def test_a_broken_pull_goes_on_where_it_was(survey: Any, pages: Any, clock: Any) -> None:
    api = survey()
    api.sandbox.load("surveys", [poll()])
    api.sandbox.load("responses", sent(250, clock()))
    begun = pages(api)
    for page in (0, 1):
        rest = pages(api, None, begun[page].resume)
        assert _ids(begun[page + 1 :]) == _ids(rest)
        assert begun[-1].cursor == rest[-1].cursor  # the newest answer was on the first page


def test_tokens_of_another_time_are_said(survey: Any, pages: Any) -> None:
    for given in ((None, "whatever"), ("whatever", None)):
        with pytest.raises(ProtocolError, match="checkpoint"):
            pages(survey(), *given)


# The watermark


def test_the_watermark_is_the_newest_answer_less_a_day(survey: Any, pages: Any, clock: Any) -> None:
    """Gotcha, "now" as watermark: clocks differ, so it is what the vendor stamped, in milliseconds, less 24 hours."""
    api = survey()
    api.sandbox.load("surveys", [poll()])
    api.sandbox.load("responses", sent(3, clock() - timedelta(days=2), every_s=50000))
    cursor = pages(api)[-1].cursor
    found = pages(api, cursor)

    newest = clock() - timedelta(days=2)
    query = api.recorder.asked("/responses")[-1]
    assert int((newest - timedelta(hours=24)).timestamp() * 1000) == int(query["createdAfter"])
    assert ["r00000.score", "r00001.score"] == _ids(found)
    assert cursor == found[-1].cursor


def test_an_answer_from_the_future_hides_nothing(survey: Any, pages: Any, clock: Any) -> None:
    api = survey()
    api.sandbox.load("surveys", [poll()])
    api.sandbox.load("responses", sent(1, clock() + timedelta(days=400)))
    cursor = pages(api)[-1].cursor
    pages(api, cursor)

    assert int((clock() - timedelta(hours=24)).timestamp() * 1000) == int(api.recorder.asked("/responses")[-1]["createdAfter"])


def test_an_account_without_answers_has_no_watermark(survey: Any, pages: Any) -> None:
    (page,) = pages(survey())

    assert ([], None, None) == (list(page.records), page.cursor, page.resume)


def test_start_bounds_a_full_pull(survey: Any, pages: Any, clock: Any) -> None:
    api = survey({"start": "2026-03-01"})
    api.sandbox.load("surveys", [poll()])
    api.sandbox.load("responses", sent(5, clock(), every_s=43200))

    assert ["r00000.score", "r00001.score", "r00002.score", "r00003.score"] == _ids(pages(api))


@pytest.mark.parametrize("zones", [True, False])
def test_times_without_a_zone_are_utc(survey: Any, pages: Any, clock: Any, zones: bool) -> None:
    """Quirk 10: some clients take a missing zone for UTC, and so do we."""
    api = survey(zones=zones)
    api.sandbox.load("surveys", [poll()])
    api.sandbox.load("responses", sent(1, clock()))
    (page,) = pages(api)

    assert clock() == datetime.fromisoformat(page.records[0]["createdAt"])


def test_a_response_without_a_time_is_a_dead_letter(respx_mock: Any, fake_api: Any) -> None:
    api = fake_api("zigpoll", SETTINGS)
    for path in ("polls", "slides"):
        respx_mock.get(f"{BASE}/{path}").respond(json=[])
    body = {
        "data": [{"_id": "a"}, {"_id": "b", "createdAt": "soon"}, {"_id": "c", "createdAt": "2026-01-01T00:00:00Z"}],
        "hasNextPage": False,
    }
    respx_mock.get(f"{BASE}/responses").respond(json=body)
    (page,) = responses(api).pull(api, None, None, "acc1")

    assert ["response a", "response b"] == [bad.ref for bad in page.bad]
    assert ["c"] == [record["_id"] for record in page.records]


# Typed addresses


def _typed(survey: Any, clock: Any, *rows: dict[str, Any]) -> dict[str, list[str]]:
    api = survey()
    api.sandbox.load("surveys", [poll("nps", "NPS", "Recommend?", ADDRESS), poll("other", "Other", "Recommend?")])
    api.sandbox.load("responses", [{"survey": "nps", "submitted_at": clock(), **row} for row in rows])
    found = list(responses(api).pull(api, None, None, "acc1"))
    return {record["_id"]: record["respondent"]["email"] for page in found for record in page.records}


def test_an_address_is_of_the_whole_submission(survey: Any, clock: Any) -> None:
    """Quirk 8: it is typed on a slide of its own; the score beside it is that person's."""
    found = _typed(
        survey, clock, {"id": "a", "answers": {"score": 9, "mail": "p1@example.com"}}, {"id": "b", "answers": {"score": 3}}
    )

    assert {"a.score": ["p1@example.com"], "a.mail": ["p1@example.com"], "b.score": []} == found


def test_an_address_of_another_day_or_another_poll_is_not(survey: Any, clock: Any) -> None:
    """Whether a participant persists across visits is unconfirmed: a day apart it may be somebody else at the same computer."""
    day = timedelta(days=1)
    found = _typed(
        survey,
        clock,
        {"id": "a", "participant": "p", "answers": {"mail": "p1@example.com"}, "submitted_at": clock() - 3 * day},
        {"id": "b", "participant": "p", "answers": {"score": 9}, "submitted_at": clock() - 3 * day + timedelta(hours=5)},
        {"id": "c", "participant": "p", "answers": {"score": 9}},
        {"id": "d", "participant": "p", "survey": "other", "answers": {"score": 9}, "submitted_at": clock() - 3 * day},
    )

    assert {"a.mail": ["p1@example.com"], "b.score": ["p1@example.com"], "c.score": [], "d.score": []} == found


def test_of_two_addresses_the_nearest_counts(survey: Any, clock: Any) -> None:
    hour = timedelta(hours=1)
    found = _typed(
        survey,
        clock,
        {"id": "a", "participant": "p", "answers": {"mail": "p1@example.com"}, "submitted_at": clock() - 9 * hour},
        {"id": "b", "participant": "p", "answers": {"mail": "p2@example.com"}, "submitted_at": clock() - 2 * hour},
        {"id": "c", "participant": "p", "answers": {"score": 9}},
    )

    assert ["p2@example.com"] == found["c.score"]


def test_addresses_cost_a_request_a_slide_that_asks_for_one(survey: Any, pages: Any, clock: Any) -> None:
    api = survey()
    api.sandbox.load("surveys", [poll("nps", "NPS", "Recommend?", ADDRESS), *(poll(f"p{n}", f"Poll {n}") for n in range(5))])
    api.sandbox.load("responses", sent(3, clock()))
    pages(api)

    assert {"GET /polls": 1, "GET /slides": 1, "GET /responses": 2} == api.sandbox.requests
    assert {"nps.mail"} == {query["slideId"] for query in api.recorder.asked("/responses") if "slideId" in query}
