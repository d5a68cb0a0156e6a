"""
One spelling for what vendors spell in many: addresses, countries, languages, times, numbers, booleans.

Everything is a pure function of one value. What cannot be read is None where that is harmless (an address that is none, a
country that nobody knows) and a ValueError where guessing would put somebody into the wrong segment (times, numbers).
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, date, datetime
from functools import lru_cache

from core import iso
from core.clock import to_us

_EMAIL = re.compile(r"[^\s@<>\"(),:;\x00-\x1f\x7f]+@[^\s@<>\"(),:;\x00-\x1f\x7f]+\.[^\s@<>\"(),:;.\x00-\x1f\x7f]{2,}")
MAX_EMAIL = 254
"""Characters of an address (RFC 5321, errata 1690)."""
_NOBODY = frozenset(
    {"", "null", "undefined", "none", "nan", "nil", "n/a", "na", "-", "anonymous", "unknown", "0", "-1", "true", "false"}
)
"""What broken tracking code sends for a user id; each would join strangers."""
EMPTY = frozenset({"", "null", "undefined", "none", "nan"})
"""What stands for an identifier that is missing."""
_TRUE = frozenset({"true", "yes", "y", "1", "t", "on"})
_FALSE = frozenset({"false", "no", "n", "0", "f", "off"})
_LOCALES = (
    "en", "sv", "nb", "nn", "da", "fi", "is", "de", "fr", "es", "it", "nl", "pt", "pl", "et", "lv", "lt", "cs", "sk", "hu",
    "ro", "bg", "el", "hr", "sl", "uk", "ru", "tr", "ja", "ko", "zh", "ar", "he",
)  # fmt: skip
"""Languages in which a country or language may be named."""
_ONE_LANGUAGE = {"nb": "no", "nn": "no"}
"""What people write for Norwegian is one language here: nb, nn and no are not three audiences."""
_MAX_INTEGER = 2**63


def email(value: object) -> str | None:
    """Return the address trimmed, NFC and lower-case (no folding of dots or plus), or None for what is no address."""
    if type(value) is not str:
        return None
    text = value.strip()
    if not text.isascii():
        # format characters (a zero-width space, a byte order mark) are not seen, and would make a stranger of somebody known
        seen = "".join(c for c in text if unicodedata.category(c) != "Cf")
        text = unicodedata.normalize("NFC", seen).strip()
    text = text.lower()
    if len(text) > MAX_EMAIL or _EMAIL.fullmatch(text) is None or ".." in text:
        return None
    return text


def user_id(value: object) -> str | None:
    """Return a user id as text, or None for what broken code sends instead of one (`null`, `undefined`, `0`)."""
    text = identifier(value)
    return None if text is None or text.lower() in _NOBODY else text


def identifier(value: object) -> str | None:
    """Return any other identifier as trimmed text, or None for an empty one. Case is kept: it belongs to the vendor."""
    if type(value) is str:
        text = value.strip()
        return None if text.lower() in EMPTY else text
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value) if math.isfinite(value) else None
    return str(value)


def domain(value: object) -> str | None:
    """Return the host of a web address or domain, lower-case without `www.`, or None."""
    if not isinstance(value, str):
        return None
    text = value.strip().lower()
    text = text.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0].rsplit("@", 1)[-1].split(":", 1)[0].strip(".")
    text = text.removeprefix("www.")
    return text if "." in text and not any(c.isspace() for c in text) else None


def company_name(value: object) -> str | None:
    """Return a company's name for comparison: one case, single spaces."""
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return unicodedata.normalize("NFC", text).casefold() or None


def text(value: object) -> str | None:
    """Return a value as trimmed text; empty is missing. ValueError for a list or an object."""
    if value is None:
        return None
    if type(value) is str:
        return value.strip() or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, int | float) or type(value).__name__ == "Decimal":
        return str(value)
    raise ValueError("not a text")


def integer(value: object) -> int | None:
    """Return a whole number of 64 bits; ValueError for anything else that is not empty."""
    found = number(value)
    if found is None:
        return None
    whole = int(value) if isinstance(value, int | str) and str(value).strip().lstrip("+-").isdigit() else int(found)
    if whole != found and not float(found).is_integer():
        raise ValueError("not a whole number")
    if not -_MAX_INTEGER <= whole < _MAX_INTEGER:
        raise ValueError("a number too large")
    return whole


def number(value: object) -> float | None:
    """Return a finite number; ValueError for anything else that is not empty."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return float(value)
    try:
        found = float(value.strip()) if isinstance(value, str) else float(value)  # type: ignore[arg-type]  # raises TypeError
    except (TypeError, ValueError, OverflowError):
        raise ValueError("not a number") from None
    if not math.isfinite(found):
        raise ValueError("not a finite number")
    return found


def boolean(value: object) -> bool | None:
    """Return a truth value in any of its usual spellings; ValueError for another."""
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    if word == "":
        return None
    raise ValueError("neither true nor false")


def time_us(value: object) -> int | None:
    """
    Return microseconds since 1970 of an aware or naive (UTC) datetime, a date, ISO 8601 text, or an epoch number.

    An epoch is seconds, milliseconds or microseconds by its size. ValueError for what is none of them.
    """
    if type(value) is str and value[4:5] == "-":  # most are
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            pass  # one with spaces around it, or none
        else:
            return to_us(at if at.tzinfo is not None else at.replace(tzinfo=UTC))
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = value.strip()
        if value[4:5] != "-":
            digits = value.lstrip("-")
            if digits.isdigit() and len(digits) > 8:
                return _epoch_us(int(value))
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("not a time") from None
    if isinstance(value, datetime):
        return to_us(value if value.tzinfo is not None else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return to_us(datetime(value.year, value.month, value.day, tzinfo=UTC))
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return _epoch_us(value)
    raise ValueError("not a time")


def _epoch_us(value: float) -> int:
    size = abs(value)
    scale = 1_000_000 if size < 1e11 else 1_000 if size < 1e14 else 1
    us = int(value * scale)
    if abs(us) >= 253_402_300_800_000_000:  # the year 10000
        raise ValueError("not a time")
    return us


def country(value: object) -> str | None:
    """Return the ISO 3166 two-letter code of a country's code or name in any of many languages, or None."""
    return _country(value) if isinstance(value, str) else None


def language(value: object) -> str | None:
    """Return the ISO 639 code (two letters where there are) of a language's code, tag (`sv-SE`) or name, or None."""
    return _language(value) if isinstance(value, str) else None


@lru_cache(maxsize=8192)
def _country(value: str) -> str | None:
    key = _folded(value)
    for name in (key, key.removeprefix("the ")) if key else ():
        found = _country_codes().get(name) or _named("territories").get(name)
        if found is not None:
            return found
    return None


@lru_cache(maxsize=8192)
def _language(value: str) -> str | None:
    key = _folded(value)
    codes = _language_codes()
    found = codes.get(key) or _named("languages").get(key)
    if found is None and ("-" in key or "_" in key):
        found = codes.get(re.split("[-_]", key)[0])
    return found


def _folded(value: str) -> str:
    return " ".join(unicodedata.normalize("NFC", value).casefold().replace(".", "").split())


@lru_cache(maxsize=1)
def _country_codes() -> dict[str, str]:
    # what the tables lack: names that the standard spells otherwise, and a code that is only reserved for its users
    codes: dict[str, str] = {
        "uk": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB", "britain": "GB",
        "great britain": "GB", "turkey": "TR", "korea": "KR", "ivory coast": "CI", "burma": "MM",
        "kosovo": "XK", "xk": "XK", "xkx": "XK",
    }  # fmt: skip
    for entry in iso.countries():
        for name in map(entry.get, ("alpha_2", "alpha_3", "name", "common_name", "official_name")):
            if name:
                codes.setdefault(_folded(name), entry["alpha_2"])
    return codes


@lru_cache(maxsize=1)
def _language_codes() -> dict[str, str]:
    codes: dict[str, str] = {"iw": "he", "in": "id", "ji": "yi", "fil": "tl", "filipino": "tl"}  # codes of old, and Android's
    for entry in iso.languages():
        code = _ONE_LANGUAGE.get(entry["alpha_2"], entry["alpha_2"])
        for name in (code, entry["alpha_2"], entry["alpha_3"], entry.get("bibliographic"), entry["name"]):
            if name:
                codes.setdefault(_folded(name), code)
    return codes


@lru_cache(maxsize=2)
def _named(what: str) -> dict[str, str]:
    """Names in all of `_LOCALES`; read once, and only for a value that is no code and no English name."""
    from babel import Locale

    codes = _country_codes() if what == "territories" else _language_codes()
    found: dict[str, str] = {}
    for locale in _LOCALES:
        for code, name in getattr(Locale(locale), what).items():
            known = codes.get(code.lower())
            if known:
                found.setdefault(_folded(name), known)
    return found
