"""The audience `field`: a property set true and false, what the answer confirms, and what is never touched."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from mixpanel_rows import SETTINGS, payload, users

from connectors.mixpanel.fields import MAX_UPDATES, Property, read_answer
from core.contract import Answer, Change, FieldParams, ListChange, Ref, Verdict
from core.errors import AuthError, ConfigError, ProtocolError, RejectedError

UPDATE = "POST /engage"
HOST = "https://api.mixpanel.com/engage"


def _changes(*ids: str) -> list[Change]:
    return [Change(Ref(id_)) for id_ in ids]


def _verdicts(outcomes: Any) -> list[Verdict]:
    return [outcome.verdict for outcome in outcomes]


def test_an_add_is_true_and_a_remove_is_false(project: Any, field: Any) -> None:
    """One call for both; sent twice is sent once."""
    project.sandbox.load("users", users("1", "2", "3", VIP=False))
    id_ = field.create(project, "VIP", [Ref("1")])
    outcomes = field.apply(project, id_, _changes("1", "2"), [Ref("3")])
    again = field.apply(project, id_, _changes("1", "2"), [Ref("3")])

    assert [Verdict.DONE] * 3 == _verdicts(outcomes) == _verdicts(again)
    assert {"1", "2"} == project.sandbox.audiences()["VIP"]
    assert [ListChange("VIP", "add", "1"), ListChange("VIP", "add", "2")] == project.sandbox.change_log
    assert [1, 3, 3] == [len(body) for _, body in project.recorder.of(UPDATE)]
    field.apply(project, id_, [], [Ref("1")])
    assert {"2"} == project.sandbox.audiences()["VIP"]
    assert [["2"]] == [[ref.remote_id for ref in page] for page in field.members(project, id_)]


def test_an_update_moves_neither_place_nor_last_seen(project: Any, field: Any, clock: Any, pulled: Any) -> None:
    """Quirk 14: else everybody would live where our server is, and the next pull would read our own writes."""
    project.sandbox.load("users", users("1", extra={"$city": "Oslo"}))
    before = dict(project.sandbox.project.profiles["1"])
    clock.at = clock.at.replace(hour=18)
    field.apply(project, "VIP", _changes("1"), [])

    assert {**before, "VIP": True} == project.sandbox.project.profiles["1"]
    assert [] == [record for page in pulled(project, "profiles", clock()) for record in page.records]


def test_the_sandbox_moves_both_without_our_care(project: Any) -> None:
    """Quirk 14, of the sandbox: so that the test above could fail."""
    project.sandbox.load("users", users("1", extra={"$city": "Oslo"}))
    token = project.settings.token.get_secret_value()
    project.post("/engage", json=[{"$token": token, "$distinct_id": "1", "$set": {"VIP": True}}])

    assert "Frankfurt" == project.sandbox.project.profiles["1"]["$city"]
    project.recorder.seen.clear()


def test_only_people_with_a_profile_are_found(project: Any, field: Any) -> None:
    """Quirk 14: an update of anybody else would make an empty profile; one query for a thousand."""
    project.sandbox.load("users", users("1", "0042"))
    found = field.find(project, ["1", "0042", "42", "9"])

    assert {"1": (Ref("1"),), "0042": (Ref("0042"),)} == found
    assert (1, 1000) == (project.sandbox.requests.total(), field.find_batch)


@pytest.mark.parametrize("integer_ids", [False, True])
def test_members_are_those_who_have_it_true(make_project: Any, field: Any, integer_ids: bool) -> None:
    """Page by page; false and missing are out."""
    api = make_project(page_size=4, integer_ids=integer_ids)
    ids = [str(n) for n in range(10)]
    api.sandbox.load("users", users(*ids))
    field.apply(api, "VIP", _changes(*ids[:9]), [Ref("9")])
    assert ids[:9] == [ref.remote_id for page in field.members(api, "VIP") for ref in page]


def test_a_property_is_there_once_somebody_has_it(project: Any, field: Any) -> None:
    """Quirk 16: true or false; without anybody there is nothing to make."""
    project.sandbox.load("users", users("1", "2"))
    assert "VIP" == field.create(project, "VIP", [])
    assert field.lookup(project, "VIP") is None
    field.create(project, "VIP", [Ref("1")])
    assert "VIP" == field.lookup(project, "VIP")
    field.apply(project, "VIP", [], [Ref("1")])
    assert "VIP" == field.lookup(project, "VIP")


@pytest.mark.parametrize("bad_batch", ["stored", "nobody"])
def test_a_refused_first_member_stops_nobody(make_project: Any, field: Any, bad_batch: str) -> None:
    """Quirk 16: the property is made with the next one, and the refusal is the first one's alone."""
    api = make_project(bad_batch=bad_batch)
    api.sandbox.load("users", users("1", "2"))
    api.sandbox.refused = {"1"}
    id_ = field.create(api, "VIP", [Ref("1")])
    field.apply(api, id_, _changes("2"), [])
    assert {"2"} == api.sandbox.audiences()["VIP"]


def test_a_property_in_use_for_something_else_is_refused(project: Any, field: Any) -> None:
    """Quirk 16: a sync called `plan` would write true over everybody's plan."""
    project.sandbox.load("users", users("1", extra={"plan": "pro"}))
    with pytest.raises(ConfigError, match="plan"):
        field.lookup(project, "plan")
    assert 0 == project.sandbox.writes.total()


@pytest.mark.parametrize("name", ['Say "hi"', "a.b c", "back\\slash", "Ünïcode"])
def test_names_are_quoted(project: Any, field: Any, name: str) -> None:
    """Quirk 12: names hold what they like."""
    project.sandbox.load("users", users("1", "2"))
    assert field.check_name(name) is None
    field.apply(project, field.create(project, name, [Ref("1")]), _changes("1"), [])
    assert name == field.lookup(project, name)
    assert [["1"]] == [[ref.remote_id for ref in page] for page in field.members(project, name)]


@pytest.mark.parametrize("name", ["", " VIP", "$email", "mp_lib", "a\nb", "x" * 256])
def test_names_that_cannot_be(field: Any, name: str) -> None:
    """Mixpanel's own, and what nobody could read."""
    assert field.check_name(name)


@pytest.mark.parametrize(
    ("bad_batch", "expected"),
    [
        pytest.param("stored", [Verdict.DONE, Verdict.REJECTED, Verdict.DONE], id="the others are stored and counted"),
        pytest.param("places", [Verdict.RETRY, Verdict.REJECTED, Verdict.RETRY], id="the others are not counted"),
        pytest.param("deaf", [Verdict.SENT] * 3, id="nothing was validated"),
        pytest.param("nobody", None, id="nobody is named"),
    ],
)
def test_one_bad_update_of_a_batch(make_project: Any, field: Any, bad_batch: str, expected: Any) -> None:
    """Quirk 15, each way that the answer may be: DONE is only who is confirmed."""
    api = make_project(bad_batch=bad_batch)
    api.sandbox.load("users", users("1", "2", "3"))
    api.sandbox.refused = {"2"}
    if expected is None:
        with pytest.raises(RejectedError):
            field.apply(api, "VIP", _changes("1", "2", "3"), [])
        assert [Verdict.DONE] == _verdicts(field.apply(api, "VIP", _changes("1"), []))
        return
    outcomes = field.apply(api, "VIP", _changes("1", "2", "3"), [])
    there = api.sandbox.audiences().get("VIP", frozenset())

    assert expected == _verdicts(outcomes)
    assert {outcome.ref.remote_id for outcome in outcomes if outcome.verdict is Verdict.DONE} <= there


@pytest.mark.parametrize(
    ("field", "told"),
    [("$distinct_id", "refused: $distinct_id"), ("properties.time", "refused: properties.time"),
     ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", "refused: update"), (None, "refused: update"), (7, "refused: update")],
)  # fmt: skip
def test_a_refusal_repeats_the_name_of_a_field_and_nothing_else(field: Any, told: str) -> None:
    """Quirk 15: a reason is kept in the store, so no token and no id that comes back there may be in it."""
    body = {"failed_records": [{"index": 0, "field": field}], "num_records_imported": 0}
    (outcome,) = read_answer(Answer(400, {}, body), [Ref("1")])

    assert told == outcome.reason


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, {"status": 1, "error": None}, [Verdict.DONE] * 2, id="confirmed"),
        pytest.param(200, {"status": 1, "error": ""}, [Verdict.DONE] * 2, id="confirmed, empty error"),
        pytest.param(200, {"code": 200, "num_records_imported": 2, "status": "OK"}, [Verdict.DONE] * 2, id="as /import"),
        pytest.param(200, {"status": 0, "error": "x"}, RejectedError, id="a 200 that refused"),
        pytest.param(200, {"status": 1, "error": "x"}, RejectedError, id="a 200 of two minds"),
        pytest.param(400, {"status": 1, "error": None}, RejectedError, id="a 400 is no success"),
        pytest.param(200, 1, [Verdict.SENT] * 2, id="a bare 1"),
        pytest.param(200, "1", [Verdict.SENT] * 2, id="a bare 1 as text"),
        pytest.param(200, "0\n", RejectedError, id="a bare 0"),
        pytest.param(200, True, ProtocolError, id="neither"),
        pytest.param(200, None, ProtocolError, id="nothing"),
        pytest.param(400, "Bad Request", ProtocolError, id="another text"),
        pytest.param(400, {"failed_records": [{"index": 1}]}, [Verdict.RETRY, Verdict.REJECTED], id="not counted"),
        pytest.param(400, {"failed_records": [{"index": 5}]}, RejectedError, id="a place that is none"),
        pytest.param(400, {"failed_records": [{"message": "x"}]}, RejectedError, id="no place"),
        pytest.param(400, {"failed_records": ["x"]}, RejectedError, id="no record"),
        pytest.param(
            200, {"failed_records": [{"index": 0}], "num_records_imported": 1}, [Verdict.REJECTED, Verdict.DONE], id="counted"
        ),
    ],
)  # fmt: skip
def test_reads_what_an_answer_says(status: int, body: Any, expected: Any) -> None:
    """Quirk 15: the body decides, and what is not confirmed is not done."""
    refs = [Ref("1"), Ref("2")]
    if isinstance(expected, list):
        assert expected == _verdicts(read_answer(Answer(status, {}, body), refs))
        return
    with pytest.raises(expected):
        read_answer(Answer(status, {}, body), refs)


def test_the_recorded_partial_failure(respx_mock: Any, fake_api: Any, field: Any) -> None:
    """Quirk 15: of two thousand one is refused; its reason is the field, never the message."""
    respx_mock.post(HOST).mock(return_value=payload("update_partial"))
    ids = [str(n) for n in range(2000)]
    outcomes = field.apply(fake_api("mixpanel", SETTINGS), "VIP", _changes(*ids), [])

    assert [Verdict.REJECTED] + [Verdict.DONE] * 1999 == _verdicts(outcomes)
    assert "refused: $distinct_id" == outcomes[0].reason


def test_a_batch_that_is_too_big_is_halved(respx_mock: Any, fake_api: Any, field: Any) -> None:
    """413: for the core to split."""
    respx_mock.post(HOST).respond(413, json={"error": "payload too large"})
    with pytest.raises(RejectedError):
        field.apply(fake_api("mixpanel", SETTINGS), "VIP", _changes("1"), [])


def test_a_refused_token_is_for_a_person(make_project: Any, field: Any) -> None:
    """Quirk 17: two thousand dead letters would say the same."""
    api = make_project({"token": "x" * 32})
    with pytest.raises(AuthError, match="token"):
        field.apply(api, "VIP", _changes("1"), [])


def test_without_a_token_nothing_is_sent(make_project: Any, field: Any) -> None:
    """It is needed only by who pushes."""
    api = make_project({"token": None})
    with pytest.raises(ConfigError, match="token"):
        field.apply(api, "VIP", _changes("1"), [])
    assert 0 == api.sandbox.requests.total()


def test_no_call_is_larger_than_the_vendor_takes(project: Any, field: Any) -> None:
    """Adds and removes are both updates: 2,000 a call in all, and `cost` says as many."""
    ids = [str(n) for n in range(2500)]
    project.sandbox.load("users", users(*ids))
    outcomes = field.apply(project, "VIP", _changes(*ids[:1500]), [Ref(id_) for id_ in ids[1500:]])

    assert [2000, 500] == [len(body) for _, body in project.recorder.of(UPDATE)]
    assert [Verdict.DONE] * 2500 == _verdicts(outcomes)
    assert 2 == field.cost(1500, 1000)


@pytest.mark.parametrize(
    ("adds", "removes", "requests"),
    [(0, 0, 0), (1, 0, 1), (0, 1, 1), (100_000, 0, 50), (100_000, 100_000, 100), (3000, 1000, 3), (2001, 0, 2)],
)
def test_cost(field: Any, adds: int, removes: int, requests: int) -> None:
    """What the core's batches of 2,000 each come to."""
    assert requests == field.cost(adds, removes)
    assert 2000 == MAX_UPDATES == field.max_batch


def test_the_token_stays_out_of_errors(respx_mock: Any, fake_api: Any, field: Any) -> None:
    """An answer may quote what was sent."""
    respx_mock.post(HOST).mock(return_value=httpx.Response(400, json={"error": f"bad {SETTINGS['token']}", "status": 0}))
    with pytest.raises(RejectedError) as caught:
        field.apply(fake_api("mixpanel", SETTINGS), "VIP", _changes("1"), [])
    assert SETTINGS["token"] not in str(caught.value)


def _carrying(**params: Any) -> Any:
    return Property(FieldParams(fields={"LEAD_SCORE": "lead_score", "Tier": "tier"}, **params))


def test_values_of_traits_are_written_with_it(project: Any) -> None:
    """Quirk 19: a missing one is taken away by an update of its own, and so are all from who leaves; what is theirs stays."""
    project.sandbox.load("users", users("1", "2", "3", extra={"LEAD_SCORE": 1, "Tier": "old", "plan": "pro"}))
    adds = [Change(Ref("1"), {"lead_score": 40, "tier": "hot"}), Change(Ref("2"), {"lead_score": 7.5, "tier": None})]
    outcomes = _carrying().apply(project, "VIP", adds, [Ref("3")])

    assert [Verdict.DONE] * 3 == _verdicts(outcomes)
    shown = [project.sandbox.project.profiles[id_] for id_ in ("1", "2", "3")]
    assert [(True, 40, "hot"), (True, 7.5, None), (False, None, None)] == [
        (one["VIP"], one.get("LEAD_SCORE"), one.get("Tier")) for one in shown
    ]
    assert {"pro"} == {one["plan"] for one in shown}
    assert [5] == [len(body) for _, body in project.recorder.of(UPDATE)]


def test_who_leaves_keeps_the_values_where_the_sync_says_so(project: Any) -> None:
    project.sandbox.load("users", users("1", extra={"VIP": True, "LEAD_SCORE": 1}))
    _carrying(leavers="keep").apply(project, "VIP", [], [Ref("1")])

    assert (False, 1) == tuple(project.sandbox.project.profiles["1"][name] for name in ("VIP", "LEAD_SCORE"))


def test_a_member_is_what_the_worst_of_their_updates_is(make_project: Any) -> None:
    """One of the two was refused: nobody says that it was done."""
    project = make_project(bad_batch="stored")
    project.sandbox.load("users", users("1", "2"))
    project.sandbox.refused = {"2"}
    adds = [Change(Ref(id_), {"lead_score": 1, "tier": None}) for id_ in ("1", "2")]

    assert [Verdict.DONE, Verdict.REJECTED] == _verdicts(_carrying().apply(project, "VIP", adds, []))
