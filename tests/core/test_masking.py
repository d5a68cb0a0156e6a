"""What a vendor says of a member may be kept, but for what tells a person or opens a door."""

from __future__ import annotations

import base64
import json
import re
import string
import unicodedata
import uuid
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.log import hide
from core.masking import MAX_LENGTH, masked, masked_code

WORDS = st.text(string.ascii_letters + string.punctuation.replace("@", "") + " \n\t\x00\x1b\u200b\u202e", max_size=40)
NAMES = st.text(string.ascii_lowercase + string.digits, min_size=4, max_size=12)
ADDRESSES = st.builds(lambda local, host: f"{local}.q@{host}.example.com", NAMES, NAMES)
WAYS = st.sampled_from([
    str, quote, lambda a: quote(quote(a)), lambda a: a.replace("@", "&#64;"), lambda a: a.replace("@", "\\u0040"),
    lambda a: a.replace("@", "\uff20"), lambda a: a.replace("@", " @ "), lambda a: a.replace("@", "\u200b@"), str.upper,
    lambda a: f'"{a}"', lambda a: f"<mailto:{a}?subject=hi>", lambda a: json.dumps({"email": a}),
])  # fmt: skip
BYTES = st.binary(min_size=16, max_size=48).filter(lambda b: len(set(b)) > 12)
TOKENS = st.one_of(
    BYTES.map(bytes.hex),
    BYTES.map(lambda b: base64.urlsafe_b64encode(b).decode()),
    BYTES.map(lambda b: base64.b64encode(b).decode()),
    st.uuids().map(str),
    st.uuids().map(lambda u: u.hex),
    BYTES.map(lambda b: f"sk_live_{b.hex()[:12]}"),
    BYTES.map(lambda b: f"pat-na1-{uuid.UUID(bytes=b[:16])}"),
).filter(lambda t: any(c.isdigit() for c in t) and any(c.isalpha() for c in t))


def pieces_of(text: str, size: int) -> set[str]:
    """Return every run of *size* characters of *text*."""
    return {text[at : at + size] for at in range(len(text) - size + 1)}


@given(WORDS, ADDRESSES, WAYS, WORDS)
def test_no_address_survives_in_any_spelling(before, address, way, after):
    """Nor its host, nor its local part."""
    left = masked(f"{before} {way(address)} {after}").lower()

    assert "@" not in left
    assert f"{address.split('@')[0]}" not in left
    assert len(left) <= MAX_LENGTH


@given(WORDS, TOKENS, WORDS)
def test_no_token_survives(before, token, after):
    """Not even a piece of it that could be guessed on from."""
    left = masked(f"{before} {token} {after}")
    said = masked(f"{before} {after}") + before + after
    survived = {piece for piece in pieces_of(token, 10) if piece in left and piece not in said}

    assert not survived
    assert len(left) <= MAX_LENGTH


@given(st.text(max_size=3000))
def test_whatever_comes_is_one_short_line_without_control_characters(text):
    """At most 300 characters, none of them with power over a terminal; no long number; and masking twice is masking once."""
    left = masked(text)

    assert len(left) <= MAX_LENGTH
    assert not [c for c in left if unicodedata.category(c)[0] == "C" or (c.isspace() and c != " ")]
    assert not re.search(r"\d{7}", left)
    assert "@" not in left


@given(st.integers(10**6, 10**18), st.sampled_from(["{}", "+{}", "no. {}.", "id={};"]))
def test_long_numbers_go(number, frame):
    """A telephone number, an account, a card: whatever is long."""
    assert str(number) not in masked(frame.format(number))


@pytest.mark.parametrize(
    "text", ["+46 70 123 45 67", "(070) 123-45-67", "4111 1111 1111 1111", "070/1234567", "١٢٣٤٥٦٧٨"], ids=str
)
def test_numbers_in_groups_go_too(text):
    """As people write them."""
    assert masked(f"call {text}") == "call [number]"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc", "api_key=abc", "password: hunter2", "client-secret = 'x1'", '{"access_token": "abc"}',
        "key=abc", "bearer abc", "Bearer [abc]", "token=[abc]",
    ],
)  # fmt: skip
def test_what_is_called_a_secret_goes_however_short(text):
    """Whatever it looks like."""
    assert not re.search(r"\babc\b|hunter2|x1", masked(text))


def test_a_secret_goes_whose_name_is_blotted_out_itself():
    """Where somebody's secret is the very word that another's is called by."""
    hide("client-secret")

    assert masked("client-secret = 'x1'") == "[secret] = [secret]"


@given(
    st.one_of(
        WORDS, ADDRESSES, TOKENS, st.sampled_from(["api_key=abc)", "(token: x1)", "Bearer [abc]", "tel +46 70 123 45 67"])
    )
)
def test_masking_twice_is_masking_once(text):
    """It is done where words come in, and once more where it is known whom they are about."""
    assert masked(text) == masked(masked(text))


def test_a_secret_of_the_config_goes_whatever_it_looks_like():
    """It is known by value."""
    hide("correct horse")

    assert "horse" not in masked("no such account: correct horse")


def test_the_member_s_own_key_goes():
    """A user id may look like a word."""
    assert masked("the user ann-of-acme has 51 lists", known=["ann-of-acme", "51"]) == "the user [member] has 51 lists"


@pytest.mark.parametrize(
    "text",
    [
        "Property values were not valid: lifecyclestage is not one of the allowed options",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION: a person of this kind needs an account",
        "DUPLICATE_VALUE in max_length_255",
        "This contact is in compliance state due to unsubscribe, bounce, or compliance review",
        "see https://developers.example.com/docs/api/v3/errors",
        "Rate limit of 5 per second reached, status 400",
    ],
)
def test_words_codes_and_paths_stay(text):
    """What a person needs to see why."""
    assert text == masked(text)


def test_a_query_goes_and_the_page_stays():
    """A link to the documentation is worth having."""
    assert masked("see https://example.com/errors?user=1&x=y") == "see https://example.com/errors"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("VALIDATION_ERROR", "VALIDATION_ERROR"), ("3001", "3001"), ("duplicate", "duplicate"), ("a sentence", None),
        (None, None), ("12345678", None), ("sk_live_0123456789", None), ("ann@example.com", None),
    ],
)  # fmt: skip
def test_a_code_is_a_short_word(text, code):
    """Anything else is none."""
    assert code == masked_code(text)
