"""Forgetting a contact: by id first, then by address, which ends on the blocklist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.hubspot.erasure import erase
from core.contract import Sought, Verdict
from core.errors import AuthError

ANN = Sought({"email": ["ann@example.com"], "contact_id": ["7"]}, records={"contacts": ["7"]})


def _with_ann(portal: Callable[..., Any], **options: Any) -> Any:
    api = portal(**options)
    api.sandbox.load("people", [{"id": "7", "email": "ann@example.com"}, {"id": "8", "email": "bo@example.com"}])
    return api


def test_a_contact_is_forgotten_and_its_address_blocked(portal: Callable[..., Any]) -> None:
    """Nobody else is, and there is nothing to restore."""
    api = _with_ann(portal)
    outcomes = erase(api, ANN)

    assert [Verdict.DONE, Verdict.DONE] == [one.verdict for one in outcomes]
    assert ["8"] == sorted(api.sandbox.state.objects["contacts"])
    assert {"ann@example.com"} == api.sandbox.state.blocked
    assert [Verdict.NOT_FOUND, Verdict.DONE] == [one.verdict for one in erase(api, ANN)]


def test_without_the_permission_to_write_it_is_for_a_person(portal: Callable[..., Any]) -> None:
    """The scope is named by the core's error; nothing is gone."""
    api = _with_ann(portal, scopes=("oauth", "crm.objects.contacts.read"))
    with pytest.raises(AuthError):
        erase(api, ANN)
    assert ["7", "8"] == sorted(api.sandbox.state.objects["contacts"])
