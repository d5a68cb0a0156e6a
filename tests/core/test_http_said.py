"""A vendor's words out of the shapes in which vendors answer, masked before anybody has them."""

from __future__ import annotations

import json

import pytest
from support import acme

from core.errors import RejectedError
from core.http.said import MAX_BODY, said, words_of

BASE = "https://api.acme.test/v2"
SHAPES = {
    "hubspot": (
        {"status": "error", "message": "Property values were not valid", "category": "VALIDATION_ERROR", "correlationId": "x"},
        ("VALIDATION_ERROR", "Property values were not valid"),
    ),
    "mailchimp": (
        {"type": "https://example.com/errors", "title": "Invalid Resource", "status": 400,
         "detail": "The resource submitted could not be validated.", "errors": [{"field": "x", "message": "is not a tag"}]},
        (None, "The resource submitted could not be validated.: is not a tag"),
    ),
    "activecampaign": (
        {"errors": [{"title": "Contact Email Address is not valid.", "code": "email_invalid", "source": {"pointer": "/x"}}]},
        ("email_invalid", "Contact Email Address is not valid."),
    ),
    "salesforce": ([{"message": "invalid reference", "errorCode": "INVALID_CROSS"}], ("INVALID_CROSS", "invalid reference")),
    "google": (
        {"error": {"code": 400, "message": "Field x is not known", "status": "INVALID_ARGUMENT"}},
        ("INVALID_ARGUMENT", "Field x is not known"),
    ),
    "zoho": (
        {"data": [{"code": "INVALID_DATA", "details": {"id": "1"}, "message": "the id given is wrong", "status": "error"}]},
        ("INVALID_DATA", "the id given is wrong"),
    ),
    "encharge": ({"error": {"message": "Tag is too long", "traceId": "x", "stack": "Error: at x"}}, (None, "Tag is too long")),
    "stripe": ({"error": {"type": "card_error", "code": "expired", "message": "It is expired"}}, ("expired", "It is expired")),
    "oauth": ({"error": "invalid_grant", "error_description": "the code is spent"}, ("invalid_grant", "the code is spent")),
    "text": ("no", (None, "")),
    "nothing": ({}, (None, "")),
}  # fmt: skip


@pytest.mark.parametrize("vendor", SHAPES)
def test_code_and_sentence_are_found(vendor: str) -> None:
    """What stands further out first, with the error under it where that says more."""
    body, found = SHAPES[vendor]

    assert found == words_of(body)


def test_the_rest_of_a_body_is_dropped(respx_mock, fake_api) -> None:
    """It may hold people; and no address is in the words either, nor in the error's own text."""
    body = {"message": "ann@example.com is not valid", "code": "BAD", "contact": {"name": "Ann"}}
    respx_mock.post(f"{BASE}/x").respond(400, json=body)
    with pytest.raises(RejectedError) as caught:
        fake_api(acme).post("/x", json={})

    assert ("BAD", "[address] is not valid") == (caught.value.code, caught.value.said)
    assert "not valid" not in str(caught.value)
    assert "Ann" not in repr(vars(caught.value))


@pytest.mark.parametrize(
    "content", [b"<html>no</html>", b"{", b"[" * 100_000, b"\xff", json.dumps({"message": "a b" * MAX_BODY}).encode()]
)
def test_no_body_breaks_it(content: bytes) -> None:
    """HTML, half an answer, too much of one."""
    assert (None, "") == said(content)
