"""
OAuth 2 tokens: fetched and renewed by authlib, kept for each connection in the system keyring or in a file beside the database.

    token      what is kept                        vault      the keyring, and the file that says where a token is
    exchange   what the token endpoint is asked    keeper     one token for all threads and processes

A lock across processes goes with each token, and whoever holds it reads again first: so two processes never renew at once, and
the second finds the first one's token. A rotated refresh token is kept before the old one is forgotten. How a person signs in
is `core.signin`'s.
"""

from core.tokens.exchange import Exchange
from core.tokens.keeper import HeldToken, TokenKeeper
from core.tokens.token import Token
from core.tokens.vault import Ring, TokenPlace, Vault, system_ring

__all__ = ["Exchange", "HeldToken", "Ring", "Token", "TokenKeeper", "TokenPlace", "Vault", "system_ring"]
