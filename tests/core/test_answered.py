"""Nothing that a vendor answers brings an address, a secret or a token to a screen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pushing.answered import CUT, MAX_READ, MAX_SHOWN, shown_body, shown_path

NOISE = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LOCAL = st.from_regex(r"[a-z]{3}[a-z0-9]{3,9}\.q", fullmatch=True)
ADDRESSES = st.builds("{}@somewhere.example.com".format, LOCAL)
TOKENS = st.from_regex(r"[A-Za-z][0-9][A-Za-z0-9]{18,60}", fullmatch=True)
VALUES = st.recursive(
    NOISE | ADDRESSES | TOKENS | st.integers() | st.floats(allow_nan=False) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NOISE | ADDRESSES, inner, max_size=4),
    max_leaves=10,
)


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for pair in value.items() for one in pair for text in _texts(one)]
        case list():
            return [text for one in value for text in _texts(one)]
        case _:
            return []


@given(VALUES, st.booleans())
def test_json_is_masked_to_its_last_leaf(value: Any, escaped: bool) -> None:
    """Keys too, and behind any escape; it stays JSON of the same shape, and is never longer than it may be."""
    shown = shown_body(json.dumps(value, ensure_ascii=escaped))

    assert "@" not in shown
    assert "somewhere" not in shown
    assert len(shown) <= MAX_SHOWN + len(CUT)
    for text in _texts(value):
        if text.isascii() and text.isalnum() and len(text) >= 20 and not (text.isalpha() or text.isdigit()):
            assert text not in shown
    if isinstance(value, list) and not shown.endswith(CUT):
        assert len(value) == len(json.loads(shown))


@given(st.sampled_from(["access_token", "apiKey", "api_key", "client_secret", "Authorization", "password"]), LOCAL)
def test_what_is_named_a_secret_is_none_any_more(name: str, secret: str) -> None:
    """As JSON, as a form, as a header."""
    for body in (json.dumps({"deep": [{name: secret}]}), f"x=1&{name}={secret}", f"{name}: {secret}"):
        assert secret not in shown_body(body)


def test_a_hash_of_an_address_and_what_else_a_person_is_known_by_are_masked() -> None:
    """E-mail tools know people by such hashes; a telephone number may be a number."""
    body = {"id": "0bc83cb571cd1c50ba6f3e8a78ef1346", "user": "ann-of-acme", "phone": 46701234567, "n": 3, "tag": "Vips"}

    shown = json.loads(shown_body(json.dumps(body), known=["ann-of-acme"]))
    assert {"id": "[secret]", "user": "[member]", "phone": "[number]", "n": 3, "tag": "Vips"} == shown
    assert "/lists/7/members/[secret]/tags" == shown_path("/lists/7/members/0bc83cb571cd1c50ba6f3e8a78ef1346/tags")


def test_what_is_long_is_cut() -> None:
    """After it was masked, so that no half of an address is left on the edge."""
    for body in (json.dumps([f"row {n} ann.q@example.com" for n in range(500)]), "x " * MAX_READ + "ann.q@example.com"):
        shown = shown_body(body)
        assert len(shown) <= MAX_SHOWN + len(CUT)
        assert "ann" not in shown


@pytest.mark.parametrize("body", ["", "[" * 60_000, "a" * 70_000, "token" * 20_000, "@" * 70_000, '"' * 70_000, "null"])
def test_no_body_breaks_it(body: str) -> None:
    """However hostile."""
    assert len(shown_body(body)) <= MAX_SHOWN + len(CUT)
