"""
What the token endpoint is asked, all of it by authlib, and what its answers mean.

Its words may quote a person or a secret: of an error nothing but the short code is kept.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import httpx

from core.contract import OAuth2
from core.errors import AuthError, ConfigError, ConnectorError, ProtocolError, RateLimited, TransientError
from core.log import hide, hide_renewed, redact
from core.tokens.token import Token, fingerprint, secret

Hooks = dict[str, Any]
LIFE_S: Final = 3600.0
"""How long a token is trusted that can be renewed and whose answer does not say; it is renewed on a refusal anyway."""
ASSERTION_S: Final = 180
"""How long a signed assertion lives: the strictest vendors take 3 to 5 minutes, and ours is used at once."""

_CODE = re.compile(r"[a-zA-Z0-9_.-]{1,60}")
_LATER = ("temporarily_unavailable", "server_error", "slow_down")


class Exchange:
    """Gets tokens for one connection. Without a state of its own; nothing is kept here."""

    def __init__(
        self,
        auth: OAuth2,
        *,
        connection: str,
        check_host: Callable[[httpx.URL], None],
        now: Callable[[], float],
        client: Mapping[str, Any],
    ) -> None:
        """*check_host* raises for a host that credentials may not go to; *client* holds options of the HTTP client."""
        self.auth = auth
        self.connection = connection
        self.origin = fingerprint(auth)
        self._check_host = check_host
        self._now = now
        self._options = dict(client)
        hide(auth.client_secret, auth.refresh_token, auth.private_key)

    def anew(self, kept: Token | None) -> Token:
        """Return a new token: by what *kept* holds, else by what the settings do."""
        match self.auth.grant:
            case "jwt_bearer":
                answer = self._asked(self.auth.token_url, self._assert)
            case "client_credentials":
                answer = self._asked(self.auth.token_url, self._as_client)
            case "refresh":
                return self._refreshed(kept)
        return self._token(answer, kept=None, token_url=None)

    def by_code(self, code: str, *, token_url: str | None = None, **options: str) -> Token:
        """
        Return the token for a *code* that a sign-in brought; *options* are `redirect_uri` and `code_verifier`.

        *token_url* is where this account's tokens are fetched and renewed, if not where the connector says.
        """

        def redeem(url: str, hooks: Hooks) -> Any:
            with self.client(**hooks) as client:
                return client.fetch_token(url, grant_type="authorization_code", code=code, **options)

        hide(code, options.get("code_verifier"))
        return self.located(self._token(self._asked(token_url or self.auth.token_url, redeem), kept=None, token_url=token_url))

    def located(self, token: Token) -> Token:
        """Return *token* with its base URL, asking where it did not come along; ProtocolError for one that is not theirs."""
        key = self.auth.base_url_key
        if key is None:
            return token
        if token.base_url is None and self.auth.metadata_url:
            token = replace(token, base_url=self._base_url(self._metadata(token.access_token)))
            if token.base_url is None:  # some answer 200 whatever the token
                raise self.sign_in("the vendor does not take the new token")
        if token.base_url is None:
            raise ProtocolError("the token server's answer holds no base URL")
        self._check_host(httpx.URL(token.base_url))
        return token

    def client(self, **options: Any) -> Any:
        """Return an authlib client for these credentials."""
        auth = self.auth
        method = auth.token_auth if auth.client_secret else "none"
        return authlib()[2](
            auth.client_id, secret(auth.client_secret), token_endpoint_auth_method=method, **{**self._options, **options}
        )

    def sign_in(self, why: str) -> AuthError:
        """Return the error that sends a person to sign in, because of *why*."""
        return AuthError(f"{why}; run `tagalong connect {self.connection}`", connection=self.connection)

    # The grants

    def _refreshed(self, kept: Token | None) -> Token:
        held = (kept.refresh_token if kept else None) or secret(self.auth.refresh_token)
        if held is None and not self.auth.authorize_url:
            raise ConfigError("signing in needs a refresh token, and the connection's settings give none")
        if held is None:
            raise self.sign_in("not signed in" if kept is None else "the sign-in holds no more")

        def refresh(url: str, hooks: Hooks) -> Any:
            with self.client(**hooks) as client:  # without a scope, which means the one that was granted
                return client.refresh_token(url, refresh_token=held)

        token_url = kept.token_url if kept else None
        answer = self._asked(token_url or self.auth.token_url, refresh)
        return self._token({**answer, "refresh_token": answer.get("refresh_token") or held}, kept=kept, token_url=token_url)

    def _as_client(self, url: str, hooks: Hooks) -> Any:
        extra = {"audience": self.auth.audience} if self.auth.audience else {}
        with self.client(scope=self.scope, **hooks) as client:
            return client.fetch_token(url, grant_type="client_credentials", **extra)

    def _assert(self, url: str, hooks: Hooks) -> Any:
        auth = self.auth
        header = {"alg": "RS256", "typ": "JWT"} | ({"kid": auth.key_id} if auth.key_id else {})
        issued_at = int(self._now())
        with authlib()[1](
            url, auth.client_id, auth.subject, auth.audience, header=header, key=_private_key(auth.private_key),
            claims={"scope": self.scope} if self.scope else None, issued_at=issued_at, expires_at=issued_at + ASSERTION_S,
            **self._options, **hooks,
        ) as client, warnings.catch_warnings():  # fmt: skip
            warnings.simplefilter("ignore")  # it grumbles about keys given as text
            return client.refresh_token()

    @property
    def scope(self) -> str | None:
        """The scopes as one text."""
        return self.auth.scope_separator.join(self.auth.scopes) or None

    # The answers

    def _asked(self, url: str, ask: Callable[[str, Hooks], Any]) -> dict[str, Any]:
        try:
            self._check_host(httpx.URL(url))
        except httpx.InvalidURL:
            raise ProtocolError("the token server's address cannot be read") from None
        seen: list[httpx.Response] = []
        try:
            answer = ask(url, {"event_hooks": {"response": [seen.append]}})
        except authlib()[0] as error:
            raise self._refused(error.error, seen) from None
        except httpx.HTTPStatusError:  # authlib's word for a 5xx, and for a page that is not JSON
            raise self._refused(None, seen) from None
        except httpx.HTTPError as error:
            # whatever the token server did, the request that the token is for was not carried out
            raise TransientError(f"the token server could not be asked ({type(error).__name__})", maybe_acted=False) from error
        except (ValueError, TypeError, KeyError) as error:
            if seen and seen[-1].is_error:
                raise self._refused(None, seen) from None
            raise ProtocolError(f"the token server's answer or the key cannot be read ({type(error).__name__})") from None
        if seen and seen[-1].is_error:  # a refusal in words of the vendor's own
            raise self._refused(None, seen)
        return {key: value for key, value in answer.items() if value is not None}

    def _refused(self, code: object, seen: list[httpx.Response]) -> ConnectorError:
        status = seen[-1].status_code if seen else None
        short = redact(code) if isinstance(code, str) and _CODE.fullmatch(code) else None  # it may be an echo of what we sent
        facts = {"code": short, "status": status if status != httpx.codes.OK else None, "connection": self.connection}
        wait_s = self.auth.busy_errors.get(str(code))
        if wait_s is not None or status == httpx.codes.TOO_MANY_REQUESTS:
            asked_s = wait_s if wait_s is not None else _retry_after_s(seen[-1], self._now())
            return RateLimited("the token server is asked too often", retry_after_s=asked_s, **facts)
        if short in _LATER or (status is not None and status >= 500):
            return TransientError("the token server cannot answer now", maybe_acted=False, **facts)
        how = f"run `tagalong connect {self.connection}`" if self.auth.authorize_url else "authorise the connection again"
        return AuthError(f"the token server refused the credentials; {how}", **facts)  # type: ignore[arg-type]  # texts, and a number

    def _token(self, answer: Mapping[str, Any], *, kept: Token | None, token_url: str | None) -> Token:
        access_token, refresh_token = answer.get("access_token"), answer.get("refresh_token")
        if not isinstance(access_token, str) or not access_token:
            raise ProtocolError("the token server's answer holds no access token")
        hide_renewed(self.connection, access_token, refresh_token)
        renewable = self.auth.grant != "refresh" or refresh_token is not None
        life_s = _seconds(answer.get("expires_in"), LIFE_S if renewable else None)
        return Token(
            access_token,
            expires_at=None if life_s is None else self._now() + life_s,
            refresh_token=refresh_token if self.auth.grant == "refresh" else None,
            base_url=self._base_url(answer) or (kept.base_url if kept is not None else None),
            origin=self.origin,
            token_url=token_url,
        )

    def _base_url(self, answer: Mapping[str, Any]) -> str | None:
        url = answer.get(self.auth.base_url_key or "")
        return url.rstrip("/") + self.auth.base_url_path if isinstance(url, str) and url else None

    def _metadata(self, access_token: str) -> Mapping[str, Any]:
        headers = {"authorization": f"{self.auth.scheme} {access_token}", "accept": "application/json"}

        def ask(url: str, hooks: Hooks) -> Any:
            with httpx.Client(**self._options, **hooks) as client:
                return client.get(url, headers=headers).json()

        return self._asked(self.auth.metadata_url, ask)


@lru_cache(maxsize=1)
def authlib() -> tuple[type[Any], type[Any], type[Any]]:
    """Return its OAuthError, AssertionClient and OAuth2Client: heavy, and most connections need none of it."""
    importlib.import_module("authlib.deprecate")  # sets a warning filter of its own, so it comes before ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather have a successor of httpx
        from authlib.integrations.base_client import OAuthError
        from authlib.integrations.httpx_client import AssertionClient, OAuth2Client
    return OAuthError, AssertionClient, OAuth2Client


def _private_key(value: Any) -> str:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = secret(value)
    if text is None:
        raise ConfigError("signing in needs a private key, and the connection's settings give none")
    try:
        load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):
        raise ConfigError("the connection's private key is no unencrypted key in PEM form") from None
    return text


def _seconds(expires_in: Any, unsaid: float | None) -> float | None:
    try:
        life_s = float(expires_in) if expires_in is not None else 0.0
    except (TypeError, ValueError):
        return unsaid
    return life_s if life_s > 0 else unsaid  # some write 0 for a token without an end


def _retry_after_s(response: httpx.Response, now: float) -> float | None:
    from core.http.answers import retry_after_s  # that package stands on this one

    return retry_after_s(response.headers, datetime.fromtimestamp(now, UTC))
