"""Every connector that can erase somebody: the person is gone at the vendor, and nobody else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.suite import NAMES, api_of, pull_all, streams_of

from core.contract import Erasure, Sought, Verdict, pick
from core.registry import load_connector

ERASERS = [name for name in NAMES if load_connector(name).erase is not None]
PEOPLE = {
    "mailchimp": "members",
    "hubspot": "contacts",
    "activecampaign": "contacts",
    "encharge": "people",
    "typeform": "responses",
}
"""The stream that a person's own records are in; Amplitude's users are asked for by their ids."""
SCOPED = {"typeform": {"responses:write", "responses:read", "forms:read", "workspaces:read"}}


def _api(name: str, sandbox_api: Callable[..., Any]) -> Any:
    api = api_of(name, sandbox_api)
    if name in SCOPED:
        api.sandbox.scopes = SCOPED[name]
    return api


def _sought(name: str, api: Any) -> tuple[Sought, str]:
    """Return somebody as the core would ask for them, and their record's key."""
    if name == "amplitude":
        user = sorted(api.sandbox.state.users)[3]
        return Sought({"user_id": [user], "email": ["nobody@example.com"]}), user
    stream = streams_of(name, api)[PEOPLE[name]]
    records = pull_all(api, stream)
    key = sorted(records)[3]
    identifiers = {kind: [str(value)] for kind, where in stream.identifiers.items() if (value := pick(records[key], where))}
    return Sought(identifiers, records={PEOPLE[name]: [key]}), key


def _there(name: str, api: Any) -> set[str]:
    if name == "amplitude":
        return set(api.sandbox.state.users) - api.sandbox.staged
    return set(pull_all(api, streams_of(name, api)[PEOPLE[name]]))


@pytest.mark.parametrize("name", ERASERS)
def test_whoever_is_erased_is_gone_and_nobody_else(name: str, sandbox_api: Callable[..., Any]) -> None:
    """By all that is known of them."""
    api = _api(name, sandbox_api)
    sought, key = _sought(name, api)
    before = _there(name, api)
    outcomes = load_connector(name).erase(api, sought)

    assert before - {key} == _there(name, api)
    assert outcomes
    assert {one.verdict for one in outcomes} <= {Verdict.DONE, Verdict.NOT_FOUND, Verdict.PENDING}
    assert any(one.verdict in (Verdict.DONE, Verdict.PENDING) for one in outcomes)
    assert all(one.job for one in outcomes if one.verdict is Verdict.PENDING)


@pytest.mark.parametrize("name", ERASERS)
def test_erasing_twice_does_no_more_than_once(name: str, sandbox_api: Callable[..., Any]) -> None:
    """What was interrupted is asked for again."""
    api = _api(name, sandbox_api)
    sought, _ = _sought(name, api)
    erase = load_connector(name).erase
    assert erase is not None
    erase(api, sought)
    after = _there(name, api)
    outcomes = erase(api, sought)
    assert after == _there(name, api)
    assert {one.verdict for one in outcomes} <= {Verdict.DONE, Verdict.NOT_FOUND, Verdict.PENDING}


@pytest.mark.parametrize("name", ERASERS)
def test_with_nothing_to_ask_by_nobody_is_asked(name: str, sandbox_api: Callable[..., Any]) -> None:
    """Somebody of whom only another tool's ids are known."""
    api = _api(name, sandbox_api)
    before = api.sandbox.writes.total()
    assert [] == list(load_connector(name).erase(api, Sought({"other_id": ["4711"]})))
    assert before == api.sandbox.writes.total()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "files"])
def test_every_vendor_says_what_is_to_be_done_by_hand(name: str) -> None:
    """Where, and on which page of the vendor's it is written."""
    erasure = load_connector(name).erasure
    assert isinstance(erasure, Erasure)
    assert erasure.does and erasure.by_hand
    assert erasure.docs_url.startswith("https://")
