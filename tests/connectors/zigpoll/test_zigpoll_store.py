"""Answers through the core: pulled, resolved and evaluated; edited, deleted, broken off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.killed import killed_after
from support.surveys import PEOPLE, Hub, deletions_come_with_the_weekly_pull, sent
from zigpoll_rows import ADDRESS, poll

from core.contract import Fault
from core.errors import AuthError

small = pytest.mark.usefixtures("small_pages")


@pytest.fixture
def hub(store: Any, clock: Any, tmp_path: Path, survey: Callable[..., Any]) -> Hub:
    made = Hub(store, clock, tmp_path, survey(), name="zigpoll", settings={"api_key": {"env": "K"}})
    made.api.sandbox.load("surveys", [poll()])
    return made


LIVE = "SELECT count(*) FROM answers WHERE deleted_at IS NULL"


def test_nps_answers_become_nps(hub: Hub) -> None:
    """By metadata's user id, by its address, by the address typed on another slide, by nobody."""
    hub.api.sandbox.load("surveys", [poll("fb", "Feedback", "How likely are you to recommend us?", ADDRESS)])
    hub.api.sandbox.load("responses", [
        {"id": "a", "survey": "nps", "user_id": "u1", "answers": {"score": 9}},
        {"id": "b", "survey": "nps", "email": "P2@Example.com", "answers": {"score": 10}},
        {"id": "c", "survey": "nps", "user_id": "u3", "answers": {"score": 8}},
        {"id": "d", "survey": "fb", "answers": {"score": 9, "mail": "p4@example.com"}},
        {"id": "e", "survey": "fb", "answers": {"score": 9}},
        {"id": "f", "survey": "nps", "metadata": {"customer_email": "p5@example.com"}, "answers": {"score": 9}},
    ])  # fmt: skip
    assert hub.pull().complete

    assert {f"p{n}@example.com" for n in (1, 2, 4, 5)} == hub.members("nps >= 9")
    assert {"p3@example.com"} == hub.members('nps < 9 and answered("NPS")')


def test_choices_are_counted_by_option(hub: Hub) -> None:
    """Gotcha, combinations: whoever chose an option is found by it, whatever else they chose."""
    question = {"id": "how", "text": "How?", "kind": "choices", "choices": ["Google", "A friend"]}
    hub.api.sandbox.load("surveys", [poll("why", "Why", "Recommend?", question)])
    hub.api.sandbox.load("responses", [
        {"id": "a", "survey": "why", "user_id": "u1", "answers": {"how": ["Google", "A friend"]}},
        {"id": "b", "survey": "why", "user_id": "u2", "answers": {"how": ["A friend"]}},
        {"id": "c", "survey": "why", "user_id": "u3", "answers": {"how": ["Google"]}},
    ])  # fmt: skip
    hub.pull()

    assert {"p1@example.com", "p2@example.com"} == hub.members('answer("Why", "How?") == "A friend"')


def test_claims_join_nobody(hub: Hub) -> None:
    hub.api.sandbox.load("responses", [
        {"id": "a", "survey": "nps", "participant": "p", "user_id": "u1", "email": "p2@example.com", "answers": {"score": 9}},
        {"id": "b", "survey": "nps", "participant": "p", "email": "p3@example.com", "answers": {"score": 9}},
    ])  # fmt: skip
    hub.pull()

    assert [(len(PEOPLE),)] == hub.rows("SELECT count(*) FROM profiles WHERE live = 1")
    assert {"p1@example.com", "p3@example.com"} == hub.members("nps >= 9")


def test_an_address_typed_later_finds_the_earlier_answer(hub: Hub, clock: Any) -> None:
    """The overlap: the score was pulled before its author went on to the next slide."""
    hub.api.sandbox.load("surveys", [poll("nps", "NPS", "Recommend?", ADDRESS)])
    hub.api.sandbox.load("responses", [{"id": "a", "survey": "nps", "participant": "p", "answers": {"score": 9}}])
    hub.pull()
    assert set() == hub.members("nps >= 9")
    clock.advance(timedelta(hours=20))
    hub.api.sandbox.load("responses", [{"id": "b", "survey": "nps", "participant": "p", "answers": {"mail": "p7@example.com"}}])
    hub.pull()

    assert {"p7@example.com"} == hub.members("nps >= 9")


def test_a_person_who_answers_again_keeps_both_and_the_latest_counts(hub: Hub, clock: Any) -> None:
    """One participant, one poll, two visits: each answer is a row of its own."""
    hub.api.sandbox.load(
        "responses", [{"id": "a", "survey": "nps", "participant": "p", "user_id": "u1", "answers": {"score": 10}}]
    )
    hub.pull()
    clock.advance(timedelta(days=90))
    hub.api.sandbox.load(
        "responses", [{"id": "b", "survey": "nps", "participant": "p", "user_id": "u1", "answers": {"score": 3}}]
    )
    hub.pull()

    assert [(2,)] == hub.rows(LIVE)
    assert {"p1@example.com"} == hub.members("nps == 3")


def test_all_accounts_of_the_key_are_read(hub: Hub) -> None:
    hub.api.sandbox.accounts.append("acc2")
    hub.api.sandbox.load("surveys", [poll("other", "Other", account="acc2")])
    hub.api.sandbox.load("responses", sent(3, hub.clock()) + sent(4, hub.clock(), survey="other", first=10))
    hub.pull()

    assert [("NPS", 3), ("Other", 4)] == hub.rows("SELECT survey, count(*) FROM answers GROUP BY survey ORDER BY survey")


def test_a_title_that_changed_is_told_anew(hub: Hub, clock: Any) -> None:
    """Old answers carry the new title at once, and only once."""
    hub.api.sandbox.load("responses", sent(20, clock() - timedelta(days=3)))
    hub.pull()
    clock.advance(timedelta(hours=1))
    hub.api.sandbox.load("surveys", [poll(text="Recommend?")])

    assert (20, 20) == (hub.pull().streams[0].changed, len(hub.rows("SELECT 1 FROM answers WHERE question = 'Recommend?'")))
    assert 0 == hub.pull().streams[0].changed


def test_a_quiet_account_costs_four_requests(hub: Hub, clock: Any) -> None:
    hub.api.sandbox.load("surveys", [poll(f"p{n}", f"Poll {n}") for n in range(9)])
    hub.api.sandbox.load("responses", sent(20, clock()))
    hub.pull()
    clock.advance(timedelta(hours=1))
    before = hub.api.sandbox.requests.total()
    hub.pull()

    assert 4 == hub.api.sandbox.requests.total() - before


def test_settings_that_changed_are_heeded_for_old_answers(hub: Hub, clock: Any, fake_api: Callable[..., Any]) -> None:
    """Which key holds the user id is often found out after the first pull."""
    hub.api.sandbox.load("responses", [{"id": "a", "survey": "nps", "metadata": {"uid": "u1"}, "answers": {"score": 9}}])
    clock.advance(timedelta(days=3))
    hub.pull()
    assert set() == hub.members("nps >= 9")
    hub.api = fake_api("zigpoll", {**dict(hub.api.settings), "user_id_keys": ["user_id", "uid"]})
    hub.pull()

    assert {"p1@example.com"} == hub.members("nps >= 9")
    assert 0 == hub.pull().streams[0].changed


def test_deleted_answers_vanish_with_the_weekly_pull(hub: Hub) -> None:
    """Quirk 9: nothing tells of a deletion but absence."""
    deletions_come_with_the_weekly_pull(hub)


@small
@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_pull_killed_after_a_page_loses_nothing(hub: Hub, clock: Any, page: int) -> None:
    """Newest first: the watermark waits for the end, and the rest comes by the page's cursor."""
    hub.api.sandbox.load("responses", sent(250, clock()))
    with killed_after(page) as on_page:
        hub.pull(on_page=on_page)
    clock.advance(timedelta(hours=2))
    hub.api.sandbox.load("responses", sent(1, clock(), first=9000))
    report = hub.pull()

    # the walk that was broken ends first, as of its own beginning; then comes what is newer
    assert max(0, 250 - 100 * page) + 1 == report.streams[0].changed
    assert [(251,)] == hub.rows(LIVE)


@small
def test_a_cursor_deleted_with_its_answer_starts_the_account_over(hub: Hub, clock: Any) -> None:
    """A cursor that is refused (422, and the key is good) is forgotten by the core, in the same pull."""
    hub.api.sandbox.load("responses", sent(150, clock()))
    at = hub.api.served.count
    hub.api.served.faults = lambda method, path, number: Fault(404, {}, b"{}") if number == at + 5 else None
    assert not hub.pull().complete
    hub.api.served.faults = None
    hub.api.sandbox.delete("responses", ["r00099"])

    assert hub.pull().complete
    assert [(149,)] == hub.rows(LIVE)


def test_a_deleted_key_ends_the_connection_s_pull(hub: Hub) -> None:
    hub.api.sandbox.revoked = True

    with pytest.raises(AuthError):
        hub.pull()
