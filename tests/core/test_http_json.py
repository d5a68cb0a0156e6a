"""Answers are parsed as the standard library parses them, whichever parser does it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.http.answers import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
ODD = [
    b"[9223372036854775807, -9223372036854775808, 18446744073709551615]", b"[-9223372036854775809]",
    b"[18446744073709551616, 1.5]", b"[123456789012345678901234567890]", b"[-0, -0.0, 1E5, 1e400, -1e400, NaN, Infinity]",
    b'["\\ud800", "\\u0000", "\\ud83d\\ude00", "\xc3\xa5"]', b'{"a": 1, "a": 2}', "[1, \"å\"]".encode("utf-16"),
    *(b" " * at + b"[9223372036854775808%s, -9223372036854775809]" % (b"0" * more) for at in range(3) for more in range(3)),
    b"\xef\xbb\xbf[1]", b'["id 1234567890123456789012"]', b"[01]", b"[1.]", b'["\t"]', b"", b"{", b"\xff", b"[" * 5000,
]  # fmt: skip


def outcome(parse: Any, content: bytes) -> str:
    """What comes of it with its types: 1 is not 1.0, and True neither."""
    try:
        return repr(parse(content))
    except (ValueError, RecursionError):
        return "refused"


@given(VALUES, st.booleans())
def test_what_is_json_is_parsed_as_ever(value: object, ascii_: bool) -> None:
    content = json.dumps(value, ensure_ascii=ascii_).encode(errors="surrogatepass")
    assert outcome(json.loads, content) == outcome(parse_json, content)


@pytest.mark.parametrize("content", ODD, ids=repr)
def test_what_the_two_parsers_differ_in_is_left_to_the_standard_library(content: bytes) -> None:
    """Above all an id of 20 digits: as a float it would be somebody else's."""
    assert outcome(json.loads, content) == outcome(parse_json, content)
