"""Answers through the core: pulled, resolved and evaluated; edited, deleted, broken off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.killed import killed_after
from support.surveys import PEOPLE, Hub, deletions_come_with_the_weekly_pull, sent
from typeform_rows import form

from core.contract import Fault
from core.errors import AuthError

small = pytest.mark.usefixtures("small_pages")


@pytest.fixture
def hub(store: Any, clock: Any, tmp_path: Path, survey: Callable[..., Any]) -> Hub:
    made = Hub(store, clock, tmp_path, survey(), name="typeform", settings={"token": {"env": "T"}})
    made.api.sandbox.load("surveys", [form()])
    return made


def _promoters(*scores: int) -> set[str]:
    return {f"p{n}@example.com" for n, score in enumerate(scores) if score >= 9}


def test_nps_answers_become_nps(hub: Hub) -> None:
    """By hidden user id, by hidden address, by typed address, by nobody: who said nine is a promoter, if anybody knows them."""
    hub.api.sandbox.load("surveys", [{"id": "fb", "title": "Feedback", "questions": [
        {"id": "q", "text": "How likely are you to recommend us?", "kind": "nps", "choices": []},
        {"id": "mail", "text": "Your address", "kind": "email", "choices": []},
    ]}])  # fmt: skip
    hub.api.sandbox.load("responses", [
        {"id": "a", "survey": "nps", "user_id": "u1", "answers": {"score": 9}},
        {"id": "b", "survey": "nps", "user_id": None, "email": "P2@Example.com", "answers": {"score": 10}},
        {"id": "c", "survey": "nps", "user_id": "u3", "answers": {"score": 8}},
        {"id": "d", "survey": "fb", "answers": {"q": 9, "mail": "p4@example.com"}},
        {"id": "e", "survey": "fb", "answers": {"q": 9}},
    ])  # fmt: skip
    assert hub.pull().complete

    assert {f"p{n}@example.com" for n in (1, 2, 4)} == hub.members("nps >= 9")
    assert {"p3@example.com"} == hub.members('nps < 9 and answered("NPS")')


def test_an_nps_question_in_any_language_is_one(hub: Hub) -> None:
    """Its type says so; neither its text nor the form's title has to."""
    hub.api.sandbox.load("surveys", [form("var", "Vår undersökning", "Hur troligt är det att du tipsar en vän?")])
    hub.api.sandbox.load("responses", [{"id": "a", "survey": "var", "user_id": "u1", "answers": {"score": 9}}])
    hub.pull()

    assert {"p1@example.com"} == hub.members("nps >= 9")


def test_claims_join_nobody(hub: Hub) -> None:
    """A hidden user id of one and an address of another, typed by anybody who has the link: both stay themselves."""
    hub.api.sandbox.load(
        "responses", [{"id": "a", "survey": "nps", "user_id": "u1", "email": "p2@example.com", "answers": {"score": 9}}]
    )
    before = len(PEOPLE)
    hub.pull()

    assert [(before,)] == hub.rows("SELECT count(*) FROM profiles WHERE live = 1")
    assert {"p1@example.com"} == hub.members("nps >= 9")


def test_the_latest_answer_counts(hub: Hub, clock: Any) -> None:
    hub.api.sandbox.load("responses", [{"id": "a", "survey": "nps", "user_id": "u1", "answers": {"score": 10}}])
    hub.pull()
    clock.advance(timedelta(hours=1))
    hub.api.sandbox.load("responses", [{"id": "b", "survey": "nps", "user_id": "u1", "answers": {"score": 3}}])
    hub.pull()

    assert set() == hub.members("nps >= 9")
    assert {"p1@example.com"} == hub.members("nps == 3")


def test_nps_before_a_rating_of_the_same_survey(hub: Hub) -> None:
    """Quirk 12: sent at one time, the NPS question counts as the later, whichever comes first in the form."""
    for id_, order in (("x", ("a", "b")), ("y", ("b", "a"))):
        questions = {
            "a": {"id": "a", "text": "Stars?", "kind": "rating", "choices": []},
            "b": {"id": "b", "text": "Recommend us?", "kind": "nps", "choices": []},
        }
        hub.api.sandbox.load("surveys", [{"id": id_, "title": "NPS of spring", "questions": [questions[q] for q in order]}])
    hub.api.sandbox.load("responses", [
        {"id": "r1", "survey": "x", "user_id": "u1", "answers": {"a": 2, "b": 9}},
        {"id": "r2", "survey": "y", "user_id": "u2", "answers": {"b": 9, "a": 2}},
    ])  # fmt: skip
    hub.pull()

    assert {"p1@example.com", "p2@example.com"} == hub.members("nps >= 9")


def test_a_form_whose_text_changed_is_told_anew(hub: Hub, clock: Any) -> None:
    """Old answers carry the new text at once: `answer("NPS", "new text")` finds all of them, and only once."""
    hub.api.sandbox.load("responses", sent(20, clock() - timedelta(days=3)))
    hub.pull()
    clock.advance(timedelta(hours=1))
    hub.api.sandbox.load("surveys", [form(text="Would you recommend us to a friend?")])
    report = hub.pull()

    assert (20, 20) == (report.streams[0].records, report.streams[0].changed)
    assert [("Would you recommend us to a friend?", 20)] == hub.rows("SELECT question, count(*) FROM answers GROUP BY question")
    assert _promoters(*(n % 11 for n in range(20))) == hub.members('answer("NPS", "Would you recommend us to a friend?") >= 9')


def test_an_edit_that_changes_no_text_reads_nothing_again(hub: Hub, clock: Any) -> None:
    hub.api.sandbox.load("responses", sent(20, clock() - timedelta(days=3)))
    hub.pull()
    clock.advance(timedelta(hours=1))
    hub.api.sandbox.load("surveys", [{"id": "nps"}])
    report = hub.pull()

    assert 0 == report.streams[0].records
    assert 2 == hub.api.sandbox.requests["GET /forms/{form_id}"]


def test_a_quiet_form_costs_one_request(hub: Hub, clock: Any) -> None:
    """Two a second for all forms: no definition is asked for where nothing is new."""
    hub.api.sandbox.load("surveys", [form(f"f{n}", f"Survey {n}") for n in range(9)])
    hub.pull()
    clock.advance(timedelta(hours=1))
    before = hub.api.sandbox.requests.total()
    hub.pull()

    assert 1 + 10 == hub.api.sandbox.requests.total() - before


def test_settings_that_changed_are_heeded_for_old_answers(hub: Hub, clock: Any, fake_api: Callable[..., Any]) -> None:
    """Which key holds the user id is often found out after the first pull."""
    hub.api.sandbox.load("responses", [{"id": "a", "survey": "nps", "hidden": {"uid": "u1"}, "answers": {"score": 9}}])
    clock.advance(timedelta(days=3))
    hub.pull()
    assert set() == hub.members("nps >= 9")
    hub.api = fake_api("typeform", {**dict(hub.api.settings), "user_id_fields": ["user_id", "uid"]})
    hub.pull()

    assert {"p1@example.com"} == hub.members("nps >= 9")
    assert 0 == hub.pull().streams[0].records


def test_deleted_answers_vanish_with_the_weekly_pull(hub: Hub) -> None:
    """Quirk 13: nothing tells of a deletion but absence."""
    deletions_come_with_the_weekly_pull(hub)


def test_a_deleted_form_takes_its_answers_along(hub: Hub, clock: Any) -> None:
    hub.api.sandbox.load("surveys", [form("other", "Other")])
    hub.api.sandbox.load("responses", sent(10, clock(), survey="nps") + sent(30, clock(), survey="other"))
    hub.pull()
    hub.api.sandbox.delete("surveys", ["nps"])
    clock.advance(timedelta(hours=1))
    report = hub.pull()

    assert (10, True) == (report.streams[0].deleted, report.complete)
    assert [("Other", 30)] == hub.rows("SELECT survey, count(*) FROM answers WHERE deleted_at IS NULL GROUP BY survey")


def test_a_form_deleted_while_the_others_are_read(hub: Hub, clock: Any) -> None:
    """It was listed, and then is not there: that is no failure of the pull, once the vendor has said it twice."""
    hub.api.sandbox.load("surveys", [form("other", "Other")])
    hub.api.sandbox.load("responses", sent(10, clock(), survey="nps") + sent(30, clock(), survey="other"))
    hub.pull()
    clock.advance(timedelta(days=8))

    def delete(method: str, path: str, number: int) -> None:
        if path == "/forms":
            return
        hub.api.sandbox.delete("surveys", ["nps"])

    hub.api.served.faults = delete
    assert hub.pull().complete
    hub.api.served.faults = None
    clock.advance(timedelta(hours=1))
    hub.pull()

    assert [("Other", 30)] == hub.rows("SELECT survey, count(*) FROM answers WHERE deleted_at IS NULL GROUP BY survey")


def test_a_404_that_is_a_passing_fault_deletes_nothing(hub: Hub, clock: Any) -> None:
    hub.api.sandbox.load("responses", sent(10, clock()))
    hub.pull()
    clock.advance(timedelta(days=8))
    at = hub.api.served.count
    hub.api.served.faults = lambda method, path, number: Fault(404, {}, b"{}") if number == at + 3 else None
    report = hub.pull()

    assert not report.complete
    assert [(10,)] == hub.rows("SELECT count(*) FROM answers WHERE deleted_at IS NULL")


@small
@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_pull_killed_after_a_page_loses_nothing(hub: Hub, clock: Any, page: int) -> None:
    """Newest first: the checkpoint waits for the end, and the rest comes by the last page's token."""
    hub.api.sandbox.load("responses", sent(250, clock()))
    with killed_after(page) as on_page:
        hub.pull(on_page=on_page)
    clock.advance(timedelta(hours=2))
    hub.api.sandbox.load("responses", sent(1, clock(), first=9000))
    report = hub.pull()

    # the walk that was broken ends first, as of its own beginning; then comes what is newer
    assert max(0, 250 - 100 * page) + 1 == report.streams[0].changed
    assert [(251,)] == hub.rows("SELECT count(*) FROM answers WHERE deleted_at IS NULL")


@small
def test_a_form_edited_while_its_pull_was_broken_is_read_from_its_beginning(hub: Hub, clock: Any) -> None:
    """Else the pages stored before would keep the old text."""
    hub.api.sandbox.load("responses", sent(150, clock()))
    at = hub.api.served.count
    hub.api.served.faults = lambda method, path, number: Fault(404, {}, b"{}") if number == at + 4 else None
    assert not hub.pull().complete
    hub.api.served.faults = None
    hub.api.sandbox.load("surveys", [form(text="Recommend?")])
    hub.pull()

    assert [("Recommend?", 150)] == hub.rows("SELECT question, count(*) FROM answers GROUP BY question")


@small
def test_a_token_deleted_with_its_answer_starts_the_form_over(hub: Hub, clock: Any) -> None:
    """A resume token that is refused is forgotten by the core, in the same pull."""
    hub.api.sandbox.load("responses", sent(150, clock()))
    at = hub.api.served.count
    hub.api.served.faults = lambda method, path, number: Fault(404, {}, b"{}") if number == at + 4 else None
    hub.pull()
    hub.api.served.faults = None
    hub.api.sandbox.delete("responses", ["r00099"])

    assert hub.pull().complete
    assert [(149,)] == hub.rows("SELECT count(*) FROM answers WHERE deleted_at IS NULL")


def test_a_revoked_token_ends_the_connection_s_pull(hub: Hub) -> None:
    hub.api.sandbox.revoke()

    with pytest.raises(AuthError):
        hub.pull()
