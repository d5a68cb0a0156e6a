"""Acme: a page as its documentation shows it, paging, and a tag that takes and loses people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import respx

from connectors.acme.contacts import contacts, rows
from connectors.acme.sandbox import AcmeSandbox
from connectors.acme.tags import Tag
from core.contract import Change, Kind, Ref, Verdict

BASE = "https://api.acme.example/v1"
PAYLOADS = Path(__file__).with_name("payloads")


def test_acme_contact_is_a_profile_and_a_consent() -> None:
    """As the documentation's own example has it."""
    (contact,) = json.loads((PAYLOADS / "contacts.json").read_text())["response"]["body"]["contacts"]
    profile, consent = rows(contact)

    assert (profile.kind, profile.values["email"]) == (Kind.PROFILE, "Ann@example.com")
    assert (consent.kind, consent.values["state"]) == (Kind.CONSENT, "denied")


def test_acme_bounced_addresses_get_no_mail() -> None:
    """The made-up people of the demo are subscribed, unsubscribed, cleaned (bounced) or transactional."""
    states = {"subscribed": "granted", "unsubscribed": "denied", "cleaned": "denied", "transactional": "unknown"}
    told = {status: list(rows({"id": "c1", "status": status}))[1].values["state"] for status in states}

    assert states == told


def test_acme_pages_until_there_is_no_next(respx_mock: respx.MockRouter, fake_api: Any) -> None:
    """Quirk 1: an empty page is not the last one."""
    page = json.loads((PAYLOADS / "contacts.json").read_text())["response"]["body"]
    answers = [httpx.Response(200, json={"contacts": [], "next": "100"}), httpx.Response(200, json=page)]
    route = respx_mock.get(f"{BASE}/contacts").mock(side_effect=answers)
    found = [record for page in contacts(fake_api("acme", {"token": "t"}), None, None) for record in page.records]

    assert [record["id"] for record in found] == ["c1"]
    assert route.calls[1].request.url.params.get_list("cursor") == ["100"]


def test_acme_tag_says_who_is_not_there(sandbox_api: Any) -> None:
    """One verdict per member, in the order asked; taking it from a stranger is success."""
    sandbox = AcmeSandbox()
    sandbox.load("members", [{"id": "ann@example.com", "email": "ann@example.com", "status": "subscribed"}])
    api, tag = sandbox_api("acme", sandbox), Tag(Tag.Params())
    tag_id = tag.create(api, "VIP", ())
    (ann,) = tag.find(api, ["ann@example.com"])["ann@example.com"]
    outcomes = tag.apply(api, tag_id, [Change(ann), Change(Ref("c99"))], [Ref("c98")])

    assert [outcome.verdict for outcome in outcomes] == [Verdict.DONE, Verdict.NOT_FOUND, Verdict.NOOP]
    assert {"VIP": frozenset({"ann@example.com"})} == sandbox.audiences()
