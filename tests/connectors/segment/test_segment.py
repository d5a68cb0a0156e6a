"""Segment: what is sent, how it is packed, and what a 200 does not say."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import respx
from pydantic import ValidationError

from connectors.segment import Settings, account, check
from connectors.segment.sandbox import SegmentSandbox
from connectors.segment.traits import MAX_BATCH_BYTES, MAX_ITEMS, Trait, pack
from core.contract import UNSUPPORTED, Change, FieldParams, Ref, Result, Verdict
from core.errors import RejectedError

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE / "schemas/batch.json").read_text())
TAKEN = json.loads((HERE / "payloads/batch.json").read_text())["response"]
SETTINGS = {"write_key": "aWriteKeyOfSomeLength", "source": "nordkart/http", "region": "eu"}
EU = "https://events.eu1.segmentapis.com/v1/batch"
TRAIT = Trait(Trait.Params())


def _refs(*ids: str) -> list[Ref]:
    return [Ref(id) for id in ids]


def test_bodies_are_as_the_card_has_them(respx_mock: respx.MockRouter, fake_api: Callable[..., Any]) -> None:
    """Quirk 6: one call a member, no visit; held against a schema of the vendor's pages."""
    route = respx_mock.post(EU).mock(return_value=httpx.Response(TAKEN["status"], json=TAKEN["body"]))
    outcomes = TRAIT.apply(fake_api("segment", SETTINGS), "at_risk", [Change(Ref("u-1"))], _refs("u-2"))
    body = json.loads(route.calls[0].request.content)

    jsonschema.validate(body, SCHEMA)
    assert [("u-1", {"at_risk": True}), ("u-2", {"at_risk": False})] == [
        (one["userId"], one["traits"]) for one in body["batch"]
    ]
    assert {"2026-03-02T12:00:00.000Z"} == {one["timestamp"] for one in body["batch"]}
    assert ["u-1", "u-2"] == [outcome.ref.remote_id for outcome in outcomes]
    assert {Verdict.SENT} == {outcome.verdict for outcome in outcomes}
    assert "Basic YVdyaXRlS2V5T2ZTb21lTGVuZ3RoOg==" == route.calls[0].request.headers["authorization"]


def test_leaving_is_false(sandbox_api: Callable[..., Any]) -> None:
    """Quirk 3: a trait cannot be taken away."""
    api = sandbox_api("segment")
    TRAIT.apply(api, "at_risk", [Change(ref) for ref in _refs("u-1", "u-2")], [])
    TRAIT.apply(api, "at_risk", [], _refs("u-1"))

    assert {"u-1": {"at_risk": False}, "u-2": {"at_risk": True}} == api.sandbox.traits
    assert {"at_risk": frozenset({"u-2"})} == api.sandbox.audiences()
    assert set() == api.sandbox.visits


def test_values_of_traits_are_written_with_it(sandbox_api: Callable[..., Any]) -> None:
    """Quirk 3: a missing one is null, and so are all of who leaves; the calls are held against the schema."""
    api = sandbox_api("segment")
    trait = Trait(FieldParams(fields={"lead_score": "lead_score", "tier": "tier"}))
    adds = [Change(Ref("u-1"), {"lead_score": 40, "tier": "hot"}), Change(Ref("u-2"), {"lead_score": 7.5, "tier": None})]
    trait.apply(api, "at_risk", adds, _refs("u-3"))

    assert {
        "u-1": {"at_risk": True, "lead_score": 40, "tier": "hot"},
        "u-2": {"at_risk": True, "lead_score": 7.5, "tier": None},
        "u-3": {"at_risk": False, "lead_score": None, "tier": None},
    } == api.sandbox.traits


def test_true_false_true_within_a_day_is_true(sandbox_api: Callable[..., Any], clock: Any) -> None:
    """Quirk 5: the third call is not one that was seen before."""
    api = sandbox_api("segment", SegmentSandbox(now=clock))
    for adds, removes in (([Change(Ref("u-1"))], []), ([], _refs("u-1")), ([Change(Ref("u-1"))], [])):
        TRAIT.apply(api, "at_risk", adds, removes)
        clock.advance(timedelta(minutes=1))

    assert {"at_risk": frozenset({"u-1"})} == api.sandbox.audiences()
    assert [] == api.sandbox.dropped


def test_a_request_sent_again_keeps_its_ids(respx_mock: respx.MockRouter, fake_api: Callable[..., Any]) -> None:
    """Quirk 5: whatever became of the first, nothing is counted twice."""
    route = respx_mock.post(EU).mock(
        side_effect=[httpx.ReadTimeout, httpx.Response(500), httpx.Response(200, json={"success": True})]
    )
    TRAIT.apply(fake_api("segment", SETTINGS), "at_risk", [Change(Ref("u-1"))], [])

    assert 3 == route.call_count
    assert 1 == len({call.request.content for call in route.calls})


def test_waits_as_long_as_segment_asks(respx_mock: respx.MockRouter, fake_api: Callable[..., Any]) -> None:
    """A 429 with Retry-After."""
    slow = httpx.Response(429, headers={"retry-after": "7", "x-ratelimit-reset": "7"}, json={"success": False})
    respx_mock.post(EU).mock(side_effect=[slow, httpx.Response(200, json={"success": True})])
    slept: list[float] = []
    TRAIT.apply(fake_api("segment", SETTINGS, sleep=slept.append), "at_risk", [Change(Ref("u-1"))], [])

    assert 7 <= sum(slept) < 8


def test_batches_are_packed_by_count_and_bytes() -> None:
    """Quirk 7: no body is larger than it may be, none has too many, and all are there in their order."""
    calls = [b'{"n":%d,"pad":"%s"}' % (n, b"x" * (n % 900)) for n in range(9000)]
    bodies = list(pack(calls))
    parsed = [json.loads(body)["batch"] for body in bodies]

    assert all(len(body) <= MAX_BATCH_BYTES for body in bodies)
    assert all(len(batch) <= MAX_ITEMS for batch in parsed)
    assert list(range(9000)) == [one["n"] for batch in parsed for one in batch]
    assert len(bodies) == -(-sum(map(len, calls)) // MAX_BATCH_BYTES)
    assert [MAX_ITEMS, 1] == [len(json.loads(body)["batch"]) for body in pack([b"1"] * (MAX_ITEMS + 1))]


def test_a_full_batch_is_one_request(sandbox_api: Callable[..., Any]) -> None:
    """As cost() says, with user ids of 27 characters and a name of 24; longer ones take a few requests more."""
    api = sandbox_api("segment")
    refs = _refs(*(f"5f2b7c1e-8a4d-4c3b-9e{n:010d}" for n in range(MAX_ITEMS)))
    TRAIT.apply(api, "looked_at_pricing_three_", [Change(ref) for ref in refs], [])

    assert 1 == TRAIT.cost(MAX_ITEMS, 0) == api.sandbox.requests.total()
    assert 2 == TRAIT.cost(MAX_ITEMS, 1)


def test_a_user_id_that_no_call_can_hold_is_rejected_alone(sandbox_api: Callable[..., Any]) -> None:
    """Quirk 7: the others are sent."""
    api = sandbox_api("segment")
    outcomes = TRAIT.apply(api, "at_risk", [Change(ref) for ref in _refs("u" * 40_000, "u-2")], [])

    assert [Verdict.REJECTED, Verdict.SENT] == [outcome.verdict for outcome in outcomes]
    assert {"u-2"} == api.sandbox.traits.keys()


@pytest.mark.parametrize("name", ["email", "Plan", "created_at", "createdAt", "first_name", "username"])
def test_names_that_mean_something_are_refused(name: str) -> None:
    """Quirk 4: before anything is sent."""
    assert "meaning of its own" in str(TRAIT.check_name(name))


@pytest.mark.parametrize("name", ["Pricing regular", "", "1st", "a" * 101, "på_väg"])
def test_names_are_words_that_every_destination_takes(name: str) -> None:
    assert TRAIT.check_name(name)
    assert TRAIT.check_name("seg_at_risk") is None


def test_an_unknown_write_key_is_answered_200(sandbox_api: Callable[..., Any]) -> None:
    """Quirk 1: so nobody is ever done, and nobody can be read back."""
    api = sandbox_api("segment", write_key="somebodyElsesWriteKey0000000000")
    (outcome,) = TRAIT.apply(api, "at_risk", [Change(Ref("u-1"))], [])

    assert Verdict.SENT is outcome.verdict
    assert {} == api.sandbox.traits
    assert TRAIT.members(api, "at_risk") is UNSUPPORTED


@pytest.mark.parametrize("refuses_empty", [False, True])
def test_check_says_where_to_look(refuses_empty: bool, sandbox_api: Callable[..., Any]) -> None:
    """Quirk 1: it was reached, and that is all that can be known."""
    api = sandbox_api("segment", SegmentSandbox(refuses_empty=refuses_empty))
    reach, sign_in = check(api)

    assert (Result.PASSED, Result.SKIPPED) == (reach.result, sign_in.result)
    assert "Debugger" in sign_in.remedy
    assert [] == api.sandbox.change_log


def test_a_batch_that_is_not_taken_is_halved(respx_mock: respx.MockRouter, fake_api: Callable[..., Any]) -> None:
    """200 without success is not an answer that anybody was promised; the core finds out who it is."""
    respx_mock.post(EU).mock(return_value=httpx.Response(200, json={"success": False}))
    with pytest.raises(RejectedError):
        TRAIT.apply(fake_api("segment", SETTINGS), "at_risk", [Change(Ref("u-1"))], [])


def test_the_region_is_a_choice_that_must_be_made() -> None:
    """Quirk 2: and one source in two regions is two accounts."""
    with pytest.raises(ValidationError, match="region"):
        Settings.model_validate({"write_key": "k", "source": "a/b"})
    with pytest.raises(ValidationError, match="workspace/source"):
        Settings.model_validate({**SETTINGS, "source": " "})

    assert "https://api.segment.io/v1" == Settings.model_validate({**SETTINGS, "region": "us"}).base_url
    assert "http://127.0.0.1:1/v1" == Settings.model_validate({**SETTINGS, "base_url": "http://127.0.0.1:1/v1"}).base_url


def test_source_and_region_name_the_account(fake_api: Callable[..., Any]) -> None:
    """So that a key of another source inherits no ledger, when its source is named."""
    assert "eu/nordkart/http" == account(fake_api("segment", SETTINGS))


def test_the_sandbox_drops_what_is_over_the_count(sandbox_api: Callable[..., Any]) -> None:
    """As unkind as the vendor: it says 200 all the same."""
    api = sandbox_api("segment")
    call = {"type": "identify", "traits": {"at_risk": True}}
    answer = api.post("/batch", json={"batch": [{**call, "userId": str(n), "messageId": str(n)} for n in range(MAX_ITEMS + 3)]})

    assert {"success": True} == answer
    assert ["over the count"] * 3 == api.sandbox.dropped
    assert MAX_ITEMS == len(api.sandbox.traits)
