"""One spelling for what vendors spell in many; junk is missing, and a guess is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import iso, normalise
from core.clock import to_us

NEW_YEAR = to_us(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" Ann.B+news@Example.COM ", "ann.b+news@example.com"),
        ("A\u030ane@example.com", "\u00e5ne@example.com"),
        ("ann@example", None), ("ann", None), ("", None), (None, None), (7, None), ("a b@example.com", None),
        ("a@b@example.com", None), ("ann@example..com", None), ("@example.com", None), ("x" * 250 + "@example.com", None),
        ("ann\u200b@example.com", "ann@example.com"), ("ANN@EXAMPLE.COM\u200b", "ann@example.com"),
        ("\ufeffann@example.com", "ann@example.com"), ("\u2068ann@example.com\u2069 ", "ann@example.com"),
        (" \u200b ann@example.com", "ann@example.com"), ("ann\u200b@", None), ("\u200b", None),
        ("Ann <ann@example.com>", None), ("ann@example.com,bo@example.com", None),
    ],
)  # fmt: skip
def test_email(value: object, expected: str | None) -> None:
    """Trimmed, NFC, lower-case; no folding of dots or plus; what is none is missing."""
    assert expected == normalise.email(value)


@given(st.emails())
def test_email_is_stable(value: str) -> None:
    """What came out goes in unchanged."""
    once = normalise.email(value)
    assert once is None or once == normalise.email(once)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("u1", "u1"),
        (" U1 ", "U1"),
        (42, "42"),
        (42.0, "42"),
        ("null", None),
        ("Undefined", None),
        ("0", None),
        (True, None),
        ("", None),
    ],
)
def test_user_id(value: object, expected: str | None) -> None:
    """Case is kept; what broken tracking code sends would join strangers."""
    assert expected == normalise.user_id(value)


@pytest.mark.parametrize(
    "value", ["Sverige", "Sweden", "SE", "se", "SWE", " sweden ", "Ruotsi", "Schweden", "Kingdom of Sweden"]
)
def test_sweden_is_one(value: str) -> None:
    """In any language and code."""
    assert "SE" == normalise.country(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("USA", "US"),
        ("U.S.A.", "US"),
        ("UK", "GB"),
        ("Deutschland", "DE"),
        ("Czech Republic", "CZ"),
        ("Turkey", "TR"),
        ("T\u00fcrkiye", "TR"),
        ("The Netherlands", "NL"),
        ("the Gambia", "GM"),
        ("Great Britain", "GB"),
        ("Korea", "KR"),
        ("South Korea", "KR"),
        ("North Korea", "KP"),
        ("Kosovo", "XK"),
        ("Ivory Coast", "CI"),
        ("xk", "XK"),
        ("NO", "NO"),
        ("Narnia", None),
        ("the", None),
        ("", None),
        (46, None),
    ],
)
def test_country(value: object, expected: str | None) -> None:
    """An unknown one is missing."""
    assert expected == normalise.country(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("sv", "sv"),
        ("sv-SE", "sv"),
        ("sv_SE", "sv"),
        ("Swedish", "sv"),
        ("svenska", "sv"),
        ("swe", "sv"),
        ("nb-NO", "no"),
        ("nb", "no"),
        ("nn", "no"),
        ("no", "no"),
        ("nob", "no"),
        ("nno", "no"),
        ("Norsk", "no"),
        ("Norwegian", "no"),
        ("Norwegian Bokm\u00e5l", "no"),
        ("norsk nynorsk", "no"),
        ("iw", "he"),
        ("iw-IL", "he"),
        ("fil", "tl"),
        ("fil-PH", "tl"),
        ("Filipino", "tl"),
        ("Tagalog", "tl"),
        ("Klingonish", None),
    ],
)
def test_language(value: str, expected: str | None) -> None:
    """A region is not another language."""
    assert expected == normalise.language(value)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-01T00:00:00Z", "2026-01-01", "2026-01-01 01:00:00+01:00", "2026-01-01T00:00:00.000+0000", date(2026, 1, 1),
        datetime(2026, 1, 1), datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 1767225600, "1767225600",  # noqa: DTZ001 - UTC
        1767225600000, "1767225600000", 1767225600000000, 1767225600.0,
    ],
)  # fmt: skip
def test_time(value: object) -> None:
    """ISO with any offset (none is UTC), dates, and epochs in seconds, milliseconds or microseconds."""
    assert NEW_YEAR == normalise.time_us(value)


@pytest.mark.parametrize("value", ["soon", "2026-13-01", True, [], float("nan"), "12:30", 10**20])
def test_no_time(value: object) -> None:
    """Never a guess."""
    with pytest.raises(ValueError, match="not a time"):
        normalise.time_us(value)


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (normalise.integer, "42", 42), (normalise.integer, 4.0, 4), (normalise.integer, 2**60 + 1, 2**60 + 1),
        (normalise.integer, "", None), (normalise.integer, True, 1), (normalise.number, " 1.5 ", 1.5),
        (normalise.number, Decimal("2.5"), 2.5), (normalise.number, None, None), (normalise.boolean, "Yes", True),
        (normalise.boolean, 0, False),
        (normalise.boolean, " ", None), (normalise.text, "  x ", "x"), (normalise.text, "  ", None),
        (normalise.text, 5, "5"),
        (normalise.text, True, "true"), (normalise.domain, "HTTPS://www.Example.com:80/x?y", "example.com"),
        (normalise.domain, "localhost", None),
        (normalise.company_name, "  Acme\tAB ", "acme ab"), (normalise.company_name, 5, None),
    ],
)  # fmt: skip
def test_plain_values(read: object, value: object, expected: object) -> None:
    """Text that says a number or a truth is one; empty is missing."""
    assert expected == read(value)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (normalise.integer, "4.5"), (normalise.integer, "x"), (normalise.integer, 2**70), (normalise.number, "x"),
        (normalise.number, float("inf")), (normalise.number, []), (normalise.boolean, "perhaps"), (normalise.text, ["a"]),
    ],
)  # fmt: skip
def test_values_that_are_refused(read: object, value: object) -> None:
    """Rather than a wrong segment."""
    with pytest.raises(ValueError):
        read(value)


def test_the_tables_of_codes_are_those_of_the_library() -> None:
    """They are read without it, for it makes an object of each row: a later one may not fit any more."""
    kept = [language for language in pycountry.languages if hasattr(language, "alpha_2")]
    assert [dict(row) for row in pycountry.countries] == iso.countries()
    assert [dict(row) for row in kept] == list(iso.languages())
