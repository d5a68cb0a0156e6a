"""The audience `field`: a user property, sent and never confirmed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from amplitude_rows import SETTINGS, make_world, payload

from connectors.amplitude.identify import Field, wrong_with
from core.contract import UNSUPPORTED, Change, FieldParams, Ref, Verdict
from core.errors import AuthError, ProtocolError, RejectedError
from core.sandbox import Rewritten

IDENTIFY = "POST /identify"
US = "https://api2.amplitude.com/identify"


def _apply(field: Any, api: Any, adds: list[str], removes: list[str] = []) -> list[Verdict]:  # noqa: B006 - read only
    outcomes = field.apply(api, "seg_at_risk", [Change(Ref(who)) for who in adds], [Ref(who) for who in removes])
    assert [*adds, *removes] == [outcome.ref.remote_id for outcome in outcomes]
    return [outcome.verdict for outcome in outcomes]


def test_a_field_is_sent_as_a_form(project: Any, field: Any) -> None:
    """Quirks 11 and 21: true for who enters, false for who left, in one request; `sent` is the most that is known."""
    assert None is field.lookup(project, "seg_at_risk")
    assert "seg_at_risk" == field.create(project, "seg_at_risk", ())
    assert [Verdict.SENT] * 3 == _apply(field, project, ["user-1", "user-2"], ["user-3"])
    (form,) = project.recorder.said(IDENTIFY)

    assert [("user-1", {"seg_at_risk": True}), ("user-2", {"seg_at_risk": True}), ("user-3", {"seg_at_risk": False})] == [
        (one["user_id"], one["user_properties"]["$set"]) for one in form["identification"]
    ]
    assert {"seg_at_risk": {"user-1", "user-2"}} == project.sandbox.audiences()
    assert UNSUPPORTED is field.members(project, "seg_at_risk")


def test_unknown_users_are_made(project: Any, field: Any) -> None:
    """As the README says; the API offers no way to leave them out."""
    _apply(field, project, ["new-user"])

    assert "new-user" in project.sandbox.state.users


def test_sent_twice_is_sent_once(project: Any, field: Any) -> None:
    for _ in range(2):
        _apply(field, project, ["user-1"], ["user-2"])

    assert 1 == len(project.sandbox.change_log)


@pytest.mark.parametrize(
    ("user_id", "wrong"),
    [
        ("42", True),
        ("user", True),
        ("user1", False),
        ("Anonymous", True),
        ("undefined", True),
        ("unknown", True),
        ("x" * 1025, True),
    ],
)
def test_ids_that_are_dropped_in_silence_are_refused_here(make_project: Any, field: Any, user_id: str, wrong: bool) -> None:
    """Quirk 10: a push that would be lost without a word is a dead letter with its reason; the others are sent."""
    api = make_project({"min_id_length": 5})
    expected = Verdict.REJECTED if wrong else Verdict.SENT

    assert [expected, Verdict.SENT] == _apply(field, api, [user_id, "user-1"])
    assert bool(wrong_with(user_id, 5)) is wrong
    assert [user_id] * (not wrong) + ["user-1"] == [one["user_id"] for one in api.recorder.said(IDENTIFY)[0]["identification"]]
    assert "min_id_length" not in api.recorder.said(IDENTIFY)[0]


def test_nobody_is_sent_where_all_are_refused(make_project: Any, field: Any) -> None:
    api = make_project({"min_id_length": 5})

    assert [Verdict.REJECTED] == _apply(field, api, ["42"])
    assert [] == api.recorder.said(IDENTIFY)


def test_a_lower_minimum_is_sent_along(make_project: Any, field: Any) -> None:
    """Quirk 10: numbered users of a product."""
    api = make_project({"min_id_length": 1})
    _apply(field, api, ["42"])

    assert "1" == api.recorder.said(IDENTIFY)[0]["min_id_length"]
    assert {"seg_at_risk": {"42"}} == api.sandbox.audiences()


def test_where_the_minimum_is_not_heeded_nothing_is_confirmed(make_project: Any, field: Any) -> None:
    """Quirk 10, unconfirmed: the user is lost, and the verdict never said otherwise."""
    api = make_project({"min_id_length": 1}, heeds_min_id_length=False)

    assert [Verdict.SENT] == _apply(field, api, ["42"])
    assert {} == api.sandbox.audiences()


def test_a_page_is_no_success(project: Any, field: Any) -> None:
    """Quirk 11: the content type says nothing, so the word has to be there."""
    for body in (b"<html>Sign in</html>", b"", b'{"code": 400}', b"succ"):
        project.served.faults = lambda _m, _p, _n, body=body: Rewritten(lambda _: body)
        with pytest.raises(ProtocolError):
            _apply(field, project, ["user-1"])


def test_requests_are_of_a_thousand_users(make_project: Any, field: Any) -> None:
    """And cost what was announced."""
    api = make_project()
    _apply(field, api, [f"user-{n}" for n in range(900)], [f"user-{n}" for n in range(900, 1700)])

    assert [1000, 700] == [len(form["identification"]) for form in api.recorder.said(IDENTIFY)]
    assert 2 == field.cost(900, 800)
    assert [0, 1, 1, 2, 100, 200, 3] == [
        field.cost(*many) for many in ((0, 0), (1, 0), (500, 500), (1000, 1), (100_000, 0), (100_000, 100_000), (2500, 0))
    ]


@pytest.mark.parametrize(("region", "host"), [("us", "https://api2.amplitude.com"), ("eu", "https://api.eu.amplitude.com")])
def test_each_region_has_its_ingestion_host(respx_mock: Any, fake_api: Any, field: Any, region: str, host: str) -> None:
    route = respx_mock.post(f"{host}/identify").respond(200, text="success")

    assert [Verdict.SENT] == _apply(field, fake_api("amplitude", {**SETTINGS, "region": region}), ["user-1"])
    assert route.called


def _answer(name: str) -> httpx.Response:
    answer = payload(name)
    return httpx.Response(answer["status"], json=answer["body"])


def test_throttled_users_are_left_alone_for_fifteen_seconds(respx_mock: Any, fake_api: Any, field: Any) -> None:
    """Quirk 14: then sent again, whole."""
    route = respx_mock.post(US).mock(side_effect=[_answer("throttled"), httpx.Response(200, text="success")])
    api = fake_api("amplitude", SETTINGS)

    assert [Verdict.SENT] == _apply(field, api, ["user-1"])
    assert 15.0 <= sum(api.slept) < 17
    assert 2 == route.call_count


@pytest.mark.parametrize(("name", "error"), [("invalid_api_key", AuthError), ("missing_field", RejectedError)])
def test_refusals_of_a_request(respx_mock: Any, fake_api: Any, field: Any, name: str, error: type[Exception]) -> None:
    """Quirk 13: a wrong key is a 400 there; anything else is for the core to halve."""
    route = respx_mock.post(US).mock(return_value=_answer(name))
    with pytest.raises(error) as raised:
        _apply(field, fake_api("amplitude", SETTINGS), ["user-1"])
    assert 1 == route.call_count
    assert SETTINGS["api_key"] not in str(raised.value)


def test_too_long_a_body_is_for_the_core_to_halve(make_project: Any, field: Any) -> None:
    api = make_project()
    make_world(api.sandbox)
    with pytest.raises(RejectedError):
        _apply(field, api, [f"{n:04}-{'x' * 1000}" for n in range(1000)])


@pytest.mark.parametrize(
    ("name", "good"),
    [("seg_at_risk", True), ("Seg: at risk", True), ("", False), ("x ", False), ("$set", False), ("[Amplitude] City", False),
     ("a\tb", False), ("x" * 1025, False)],
)  # fmt: skip
def test_names(field: Any, name: str, good: bool) -> None:
    assert good is (field.check_name(name) is None)


def test_values_of_traits_are_written_with_it(project: Any) -> None:
    """A missing one is taken away in the same call, and so are all from who leaves."""
    field = Field(FieldParams(fields={"LEAD_SCORE": "lead_score", "Tier": "tier"}))
    for who in ("user-1", "user-2", "user-3"):
        project.sandbox.state.set_property(who, "Tier", "old")
    adds = [Change(Ref("user-1"), {"lead_score": 40, "tier": "hot"}), Change(Ref("user-2"), {"lead_score": 7.5, "tier": None})]
    field.apply(project, "seg_at_risk", adds, [Ref("user-3")])

    shown = [project.sandbox.state.user(who).properties for who in ("user-1", "user-2", "user-3")]
    assert [(True, 40, "hot"), (True, 7.5, None), (False, None, None)] == [
        (one["seg_at_risk"], one.get("LEAD_SCORE"), one.get("Tier")) for one in shown
    ]
    assert 1 == len(project.recorder.said(IDENTIFY))
