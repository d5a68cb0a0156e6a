"""
What may be kept and shown of a vendor's own words: no address, no secret, nothing that looks like a token or a long number.

One pure function. It is called before the words are stored or shown, so that the store never holds them as they came; better
one word too many is gone than one too few. What the log blots out is `core.log.redact`'s, which knows the secrets by value.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from core.hidden import BLOT
from core.log import ADDRESS_BLOT, redact

MAX_LENGTH: Final = 300
"""Characters of what is left."""
NUMBER_BLOT: Final = "[number]"
MEMBER_BLOT: Final = "[member]"
_READ: Final = 4_000
"""Characters that are looked at: what stands further on would not fit anyway."""
_ROUNDS: Final = 4
"""How often text may be encoded once more (an address in an escaped URL in an escaped text)."""

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
_QUOTED = re.compile(r'"[^"@]{0,64}"@\S*')
_AT = re.compile(r"\S{0,400}\s?@\s?\S*")
_QUERY = re.compile(r"(://[^\s?#]*)[?#]\S*")
_NAMED = re.compile(
    r"(\b(?:[\w-]{0,30}[_-])?(?:authorization|token|api[ _-]?key|apikey|key|secret|password|passwd|pwd|signature|session|"
    r"cookie|credentials?)\w?|\[secret\])(\"?'?\s?[:=]\s?)(?:(?:bearer|basic|oauth|token)\s)?(?!\[(?:secret|address|number|member)\])"
    r"[^\s,;)\]}]+",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(bearer|basic)\s+(?!\[secret\])[^\s,;]+", re.IGNORECASE)
_PREFIXED = re.compile(r"\b(?:(?:sk|pk|rk|whsec|gh[opusr]|pat|shpat|shpss|xox[a-z]|key|glpat)[_-]|eyJ)[\w.~+/=-]{4,}")
_RUN = re.compile(r"[A-Za-z0-9_~+/=.%-]{8,}")
_DIGITS = re.compile(r"[+(]?\d(?:[ ().\-/:]{0,3}\d){6,}")


def masked(text: object, *, known: Iterable[str] = ()) -> str:
    """
    Return at most `MAX_LENGTH` characters of *text* on one line, with whatever could tell a person or open a door blotted out.

    *known* are texts that must not stay whatever they look like: the member's own key and id.
    """
    plain = _plain(str(text))
    for one in sorted((_plain(k) for k in known), key=len, reverse=True):
        if len(one) >= 3:
            plain = re.sub(rf"(?<!\w){re.escape(one)}(?!\w)", MEMBER_BLOT, plain, flags=re.IGNORECASE)
    plain = redact(plain)
    plain = _AT.sub(ADDRESS_BLOT, _QUOTED.sub(ADDRESS_BLOT, plain))
    plain = _QUERY.sub(r"\1", plain)
    plain = _SCHEME.sub(rf"\1 {BLOT}", _NAMED.sub(rf"\1\2{BLOT}", plain))
    plain = _RUN.sub(_unless_a_word, _PREFIXED.sub(BLOT, plain))
    plain = " ".join(_DIGITS.sub(NUMBER_BLOT, plain).split())
    return plain if len(plain) <= MAX_LENGTH else plain[: MAX_LENGTH - 1] + "…"


def masked_code(text: str | None) -> str | None:
    """Return a vendor's short code, None for what is none: a sentence, or something that has to be masked."""
    if text is None or not re.fullmatch(r"[A-Za-z][\w.:-]{0,63}|\d{1,6}", text, re.ASCII):
        return None
    return text if masked(text) == text else None


def _plain(text: str) -> str:
    """Undo what could hide an address from the patterns: encodings, letters that look alike, characters without a width."""
    if len(text) > _READ:
        head = text[:_READ]
        text = head[: max(head.rfind(" "), 0)]  # a word cut in two may no longer look like what it is
    for _ in range(_ROUNDS):
        undone = unquote(html.unescape(_ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)), text)))
        if undone == text:
            break
        text = undone
    text = unicodedata.normalize("NFKC", text)
    return "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")


def _unless_a_word(found: re.Match[str]) -> str:
    return BLOT if _is_token(found[0]) else found[0]


def _is_token(run: str) -> bool:
    """Whether a run of characters is more likely a key or an id than words, a path or a code of a vendor's."""
    pieces = re.split(r"[^A-Za-z0-9]+", run)
    mixed = [piece for piece in pieces if not piece.isalpha() and not piece.isdecimal()]
    if any(len(piece) >= 8 for piece in mixed) or (len(run) >= 16 and len(mixed) > 1 and sum(map(len, mixed)) >= 8):
        return True
    if len(run) >= 16 and (
        run.endswith("=") or (mixed and "/" not in run and re.search("[a-z]", run) and re.search("[A-Z]", run))
    ):
        return True
    return any(piece.isalpha() and (len(piece) >= 32 or _jumbled(piece)) for piece in pieces)


def _jumbled(piece: str) -> bool:
    """Letters alone: cases that change as they never do in a word, nor in words written together."""
    return len(piece) >= 16 and 5 * len(re.findall("[a-z][A-Z]", piece)) >= len(piece)
