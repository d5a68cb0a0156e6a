"""A column of texts that is read at once says what its values say one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import normalise
from core.store.at_once import AT_ONCE

ORDINARY: dict[Any, list[str]] = {
    normalise.email: ["Ann@Example.com", "b.o+b@a.b.example.com", "x'y_z@sub.example.se"],
    normalise.identifier: ["a", " B ", "0", "c\u00e5"],
    normalise.text: ["a", " b ", "", "\t"],
    normalise.time_us: ["2026-01-02T03:04:05Z", "1969-12-31T23:59:59.999999+00:00", "9999-12-31T00:00:00Z", "20260102T03Z"],
}
ODD = [
    "", " ", "null", "a b@example.com", "a@b", "a..b@example.com", "a@example.com\nb@example.com", "a@example.com\n",
    " a@example.com", "\u212a@example.com", "a\x1f@example.com", "a@example.c", "a@@example.com", f"{'a' * 250}@example.com",
    "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05+02:00", " 2026-01-02T03:04:05Z",
    "1767225600000", "2026-13-02T00:00:00Z",
]  # fmt: skip
PIECES = st.text(st.sampled_from("aB.@ \n,-0:2TZ\u00e5\u2028\x85"), max_size=8)


@pytest.mark.parametrize("read", AT_ONCE, ids=lambda read: read.__name__)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_values_read_at_once_are_those_read_one_by_one(read: Callable[[object], object], data: st.DataObject) -> None:
    """Whatever is among them: spaces, a line end within a value, another script, what is empty, too long, or nothing at all."""
    one = st.one_of(st.sampled_from(ORDINARY[read]), st.sampled_from(ODD), PIECES)
    values = data.draw(st.lists(st.one_of(st.sampled_from(ORDINARY[read]), one), min_size=1, max_size=4))
    at_once = AT_ONCE[read](values)
    if at_once is not None:
        assert list(map(read, values)) == at_once


@pytest.mark.parametrize("read", AT_ONCE, ids=lambda read: read.__name__)
def test_ordinary_columns_are_read_at_once(read: Callable[[object], object]) -> None:
    """Else all of this would be for nothing."""
    assert list(map(read, ORDINARY[read])) == AT_ONCE[read](ORDINARY[read])
