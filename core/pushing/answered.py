"""A vendor's answer, made fit to be shown to a person: `core.masking` over each text of it, cut to a screenful."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, Final

from core.hidden import BLOT
from core.masking import masked

MAX_READ: Final = 65_536
"""Characters of a body that are read as JSON; of a longer one its beginning is shown as text."""
MAX_SHOWN: Final = 2_000
CUT: Final = " … (cut)"

_SECRET = re.compile(r"token|secret|passw|api_?-?key|authorization|credential|signature|session|cookie|private", re.IGNORECASE)


def shown_body(body: str, *, known: Collection[str] = ()) -> str:
    """
    Return what of a body may be seen, on one line of `MAX_SHOWN` characters at most (and a word that it was cut).

    JSON is read and masked text by text, keys too, so that no escape hides anything. *known* are texts that must not stay.
    """
    try:
        value = json.loads(body) if len(body) <= MAX_READ else None
    except (ValueError, RecursionError):
        value = None
    if value is None:
        return masked(body, known=known)
    shown = json.dumps(_shown(value, known), ensure_ascii=False)
    return shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + CUT


def shown_path(path: str, *, known: Collection[str] = ()) -> str:
    """Return a path, part by part: e-mail tools have the hash of an address in it, or the address."""
    return "/".join(masked(part, known=known) for part in path.split("/"))


def _shown(value: Any, known: Collection[str]) -> Any:
    match value:
        case dict():
            return {masked(key, known=known): _of_key(key, inner, known) for key, inner in value.items()}
        case list():
            return [_shown(inner, known) for inner in value]
        case None | bool():
            return value
        case str():
            return masked(value, known=known)
        case _:  # a long number may be somebody's telephone
            text = masked(str(value), known=known)
            return value if text == str(value) else text


def _of_key(key: str, value: Any, known: Collection[str]) -> Any:
    plain = value is None or isinstance(value, bool | dict | list)
    return _shown(value, known) if plain or not _SECRET.search(key) else BLOT
