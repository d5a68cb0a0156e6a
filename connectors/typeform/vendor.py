"""Where Typeform is, and what a token must permit."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

DOCS: Final = "https://www.typeform.com/developers"
SCOPES: Final = {
    "forms:read": "the list of forms, and what their questions are called",
    "responses:read": "the answers",
    "workspaces:read": "which account the token is of (else the setting account_id)",
}


class Region(StrEnum):
    """Where an account's data are. Tokens of `eu2` are of no use elsewhere."""

    US = "us"
    EU = "eu"
    """An account in the EU that was opened before August 2025."""
    EU2 = "eu2"
    """An account in the EU that was opened since."""


BASES: Final = {
    Region.US: "https://api.typeform.com",
    Region.EU: "https://api.eu.typeform.com",
    Region.EU2: "https://api.typeform.eu",
}
SIGN_IN: Final = {
    Region.US: "https://api.typeform.com",
    Region.EU: "https://api.typeform.com",  # Quirk 14: the first EU stack has no authorization server of its own
    Region.EU2: "https://api.typeform.eu",
}


def scope_for(path: str, *, write: bool = False) -> str:
    """Return the scope that a request to *path* needs."""
    if path.endswith("/responses"):
        return "responses:write" if write else "responses:read"
    return "workspaces:read" if path.startswith("/workspaces") else "forms:read"
