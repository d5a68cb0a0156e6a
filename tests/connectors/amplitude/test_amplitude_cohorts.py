"""The audience `cohort`: made with somebody in it, changed one request at a time, read by a job."""

from __future__ import annotations

from typing import Any

import pytest
from amplitude_rows import SETTINGS, adds, make_cohort, make_world, payload, refs, spoil

from core.contract import Change, Ref, Verdict
from core.errors import ConfigError, ConnectorError, ProtocolError, RejectedError, TransientError
from core.sandbox import Reset

UPLOAD, MEMBERSHIP = "POST /api/3/cohorts/upload", "POST /api/3/cohorts/membership"
BASE = "https://amplitude.com"


def test_a_cohort_is_made_with_its_first_member(project: Any, cohort: Any) -> None:
    """Quirk 17: it cannot be made empty; the owner is a login address, the ids are user ids."""
    id_ = cohort.create(project, "At risk", refs(3))

    assert cohort.seeded
    assert id_ == cohort.lookup(project, "at RISK")
    assert {"At risk": {"user-3"}} == project.sandbox.audiences()
    (body,) = project.recorder.said(UPLOAD)
    assert ("BY_USER_ID", ["user-3"], "owner@example.com", 153957) == (
        body["id_type"], body["ids"], body["owner"], body["app_id"],
    )  # fmt: skip


@pytest.mark.parametrize("switch", [False, True])
def test_a_first_member_who_is_unknown_needs_a_seed(make_project: Any, cohort: Any, switch: bool) -> None:
    """Quirk 17: without `seed_user_id` it says what to set; with it the seed is put in and taken out at once."""
    unknown = [Ref("nobody-yet")]
    api = make_project(errors_with_200=switch)
    make_world(api.sandbox)
    with pytest.raises(RejectedError, match="seed_user_id") as raised:
        cohort.create(api, "At risk", unknown)
    assert "no_matching_ids" == raised.value.code
    api = make_project({"seed_user_id": "user-7"}, errors_with_200=switch)
    make_world(api.sandbox)
    cohort.create(api, "At risk", unknown)

    assert {"At risk": frozenset()} == api.sandbox.audiences()
    assert [["nobody-yet"], ["user-7"]] == [body["ids"] for body in api.recorder.said(UPLOAD)]


def test_without_an_owner_no_cohort_is_made(make_project: Any, cohort: Any) -> None:
    """Quirk 17: said before anything is sent; so is a cohort that nobody would be in."""
    api = make_project({"owner": None})
    with pytest.raises(ConfigError, match="owner"):
        cohort.create(api, "At risk", refs(1))
    with pytest.raises(ConfigError, match="seed_user_id"):
        cohort.create(make_project(), "At risk", ())
    assert 0 == api.sandbox.writes.total()


def test_an_owner_who_cannot_sign_in_is_told(make_project: Any, cohort: Any) -> None:
    api = make_project({"owner": "stranger@example.com"})
    make_world(api.sandbox)
    with pytest.raises(RejectedError, match="owner") as raised:
        cohort.create(api, "At risk", refs(1))
    assert "@" not in str(raised.value)


def test_a_cohort_is_found_by_its_name(respx_mock: Any, fake_api: Any, cohort: Any) -> None:
    """The exact spelling first, then the oldest; archived ones are none; nothing is asked twice."""
    route = respx_mock.get(f"{BASE}/api/3/cohorts").respond(json=payload("cohorts")["body"])
    api = fake_api("amplitude", SETTINGS)

    assert ["0000004", "0000002", "0000003", None] == [
        cohort.lookup(api, name) for name in ("Trial", "tRIAL", "trial", "Other")
    ]  # "tRIAL" is nobody's spelling: the oldest of all
    assert 4 == route.call_count


def test_removals_wait_for_additions(project: Any, cohort: Any) -> None:
    """Quirk 16: ADD, its answer, then REMOVE; each id once, though it is asked for twice."""
    id_ = cohort.create(project, "At risk", refs(1))
    outcomes = cohort.apply(project, id_, adds(2, 3, 2), refs(1))
    said = [body["memberships"] for body in project.recorder.said(MEMBERSHIP)]

    assert 1 == cohort.concurrency
    assert [[("ADD", ["user-2", "user-3"])], [("REMOVE", ["user-1"])]] == [
        [(part["operation"], part["ids"]) for part in parts] for parts in said
    ]
    assert [("user-2", "done"), ("user-3", "done"), ("user-2", "done"), ("user-1", "done")] == [
        (outcome.ref.remote_id, outcome.verdict) for outcome in outcomes
    ]
    assert {"At risk": {"user-2", "user-3"}} == project.sandbox.audiences()


def test_only_what_is_asked_is_sent(project: Any, cohort: Any) -> None:
    """No empty list of ids, and the cost that was announced."""
    id_ = cohort.create(project, "At risk", refs(1))
    for put_in, taken_out in ((adds(2), []), ([], refs(2)), (adds(3), refs(1))):
        before = len(project.recorder.seen)
        cohort.apply(project, id_, put_in, taken_out)
        assert cohort.cost(len(put_in), len(taken_out)) == len(project.recorder.seen) - before
    assert (1, 2, 0) == (cohort.cost(100_000, 0), cohort.cost(100_001, 0), cohort.cost(0, 0))


def test_a_busy_cohort_is_waited_for(make_project: Any, cohort: Any) -> None:
    """Quirk 16: a 429 on concurrent access is patience, not failure."""
    api, id_ = make_cohort(make_project, cohort, busy_after=1)
    outcomes = cohort.apply(api, id_, adds(2), refs(1))

    assert [Verdict.DONE] * 2 == [outcome.verdict for outcome in outcomes]
    assert api.slept
    assert {"At risk": {"user-2"}} == api.sandbox.audiences()


def test_unknown_users_are_not_found(project: Any, cohort: Any) -> None:
    """Quirk 18: `skipped_ids` with a 200 is a partial failure: the others are done, and it is asked again another day."""
    id_ = cohort.create(project, "At risk", refs(1))
    outcomes = cohort.apply(project, id_, [Change(Ref("42")), *adds(2)], [Ref("43"), *refs(1)])

    assert ["not_found", "done", "noop", "done"] == [outcome.verdict for outcome in outcomes]
    assert {"At risk": {"user-2"}} == project.sandbox.audiences()


WRONG = [
    ("nothing", {}),
    ("no result", {"cohort_id": "1", "memberships_result": []}),
    ("of the other operation", {"memberships_result": [{"operation": "REMOVE", "skipped_ids": []}]}),
    ("nobody named", {"memberships_result": [{"operation": "ADD"}]}),
]


@pytest.mark.parametrize("body", [one[1] for one in WRONG], ids=[one[0] for one in WRONG])
def test_an_answer_that_confirms_nothing_is_none(respx_mock: Any, fake_api: Any, cohort: Any, body: Any) -> None:
    respx_mock.post(f"{BASE}/api/3/cohorts/membership").respond(json=body)
    with pytest.raises(ProtocolError):
        cohort.apply(fake_api("amplitude", SETTINGS), "1a2bc3d", adds(1), ())


def test_somebody_skipped_whom_nobody_named_never_passes_as_done(respx_mock: Any, fake_api: Any, cohort: Any) -> None:
    """The core halves such a batch."""
    respx_mock.post(f"{BASE}/api/3/cohorts/membership").respond(json=payload("membership")["body"])
    api = fake_api("amplitude", SETTINGS)

    assert ["not_found"] == [outcome.verdict for outcome in cohort.apply(api, "1a2bc3d", [Change(Ref("43"))], ())]
    with pytest.raises(RejectedError):
        cohort.apply(api, "1a2bc3d", adds(1), ())


def test_sent_twice_is_sent_once(project: Any, cohort: Any) -> None:
    """The connection is lost after the change was made: it is sent again, and nothing more moves."""
    id_ = cohort.create(project, "At risk", refs(1))
    spoil(project, 1, Reset(act=True))
    cohort.apply(project, id_, adds(2), ())

    assert 2 == len(project.recorder.said(MEMBERSHIP))
    assert 2 == len(project.sandbox.change_log)


def test_a_cohort_is_not_made_twice(project: Any, cohort: Any) -> None:
    """The answer to an upload is lost: the core looks it up; it is not sent again behind its back."""
    spoil(project, 1, Reset(act=True))
    with pytest.raises(TransientError):
        cohort.create(project, "At risk", refs(1))

    assert 1 == len(project.recorder.said(UPLOAD))
    assert cohort.lookup(project, "At risk")


@pytest.mark.parametrize("errors_with_200", [False, True])
def test_an_error_in_the_body_counts_whatever_the_status_says(make_project: Any, cohort: Any, errors_with_200: bool) -> None:
    """Quirk 15: a 200 that holds an error confirms nothing."""
    api, id_ = make_cohort(make_project, cohort, errors_with_200=errors_with_200)
    change = {"ids": ["nobody"], "id_type": "BY_NAME", "operation": "ADD"}
    with pytest.raises(ConnectorError) as raised:
        api.post("/api/3/cohorts/membership", json={"cohort_id": id_, "memberships": [change]})
    assert "invalid_ids" == raised.value.code


@pytest.mark.parametrize(("name", "good"), [("At risk", True), ("", False), (" x", False), ("a\nb", False)])
def test_names(cohort: Any, name: str, good: bool) -> None:
    assert good is (cohort.check_name(name) is None)
