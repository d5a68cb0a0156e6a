"""What is kept of a sign-in, and how it is told from that of other credentials."""

from __future__ import annotations

import hashlib
import json
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any

from core.contract import OAuth2
from core.log import hide_renewed


@dataclass(frozen=True, slots=True)
class Token:
    """A token with all that its renewal needs."""

    access_token: str
    _: KW_ONLY
    expires_at: float | None
    """Seconds since 1970; None: it is used until it is refused."""
    refresh_token: str | None
    base_url: str | None
    origin: str
    """A fingerprint of the configured credentials: others in the config, and the kept token is not theirs."""
    token_url: str | None = None
    """Where it is renewed, if not where the connector says."""

    def __repr__(self) -> str:
        return "Token()"

    def to_text(self) -> str:
        """Return it as it is kept."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str, *, connection: str) -> Token:
        """Read what `to_text` wrote, and hide its secrets from logs; ValueError or TypeError for anything else."""
        token = cls(**json.loads(text))
        hide_renewed(connection, token.access_token, token.refresh_token)
        return token


def fingerprint(auth: OAuth2) -> str:
    """Return what tells the credentials of *auth* from others."""
    # who signed in by the browser did so for the application: a scope more in a later release is no reason to ask again
    scopes = () if signs_in(auth) else auth.scopes
    parts = (auth.token_url, auth.client_id, auth.grant, auth.subject, secret(auth.refresh_token), " ".join(scopes))
    return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()[:32]


def signs_in(auth: OAuth2) -> bool:
    """Tell whether the token comes from `tagalong connect` and nothing else."""
    return auth.grant == "refresh" and auth.refresh_token is None and bool(auth.authorize_url)


def secret(value: Any) -> str | None:
    """Return the text of a SecretStr, None for None."""
    return None if value is None else str(value.get_secret_value())
