"""The nearest valid name to a wrong one, and the sentence that offers it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from keyword import iskeyword

NAME = re.compile(r"[a-z](?:[a-z0-9]|_(?!_))*")
NAME_RULE = "a name is lower-case letters, digits and single underscores, and begins with a letter"
_LISTED = 12


def name_problem(name: str) -> str | None:
    """Return why *name* cannot name a segment, partition, sync or connection, or None."""
    if NAME.fullmatch(name) is None:
        return NAME_RULE
    return f"{name} is a word of the segment language" if iskeyword(name) else None


def nearest(wrong: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that *wrong* was most likely meant to be, or None."""
    by_fold = {name.casefold(): name for name in valid}
    found = get_close_matches(wrong.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def suggest(wrong: str, valid: Iterable[str], *, none: str = "there are none") -> str:
    """Return a remedy: the nearest name, else what there is."""
    names = sorted(valid)
    if not names:
        return none
    close = nearest(wrong, names)
    if close is not None:
        return f"did you mean {close}?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"there is {', '.join(names[:_LISTED])}{more}"
