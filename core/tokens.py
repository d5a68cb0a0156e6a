"""
OAuth 2 tokens: fetched and renewed by authlib, kept in a file of mode 0600 beside the database, one file a connection.

A lock across processes goes with each file, and whoever holds it reads the file again first: so two processes never renew at
once, and the second finds the first one's token. A rotated refresh token is on disk before the old one is forgotten.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import httpx
from filelock import FileLock, Timeout

from core.contract import OAuth2
from core.errors import AuthError, ConfigError, ConnectorError, ProtocolError, StoreError, TransientError
from core.log import hide

EARLY_S: Final = 60.0
"""A token is renewed this long before it ends, so that it does not end on its way."""
LIFE_S: Final = 3600.0
"""How long a token is trusted whose answer does not say; it is renewed on a refusal anyway."""
LOCK_LIMIT_S: Final = 120.0

_CODE = re.compile(r"[a-zA-Z0-9_.-]{1,60}")


@dataclass(frozen=True, slots=True)
class Token:
    """What the file holds."""

    access_token: str
    _: KW_ONLY
    expires_at: float
    refresh_token: str | None
    base_url: str | None
    origin: str
    """A fingerprint of the configured credentials: others in the config, and the file's token is not theirs."""

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at:.0f})"


class TokenKeeper:
    """Keeps one connection's token. Thread-safe, and safe between processes."""

    def __init__(
        self,
        auth: OAuth2,
        path: Path,
        *,
        check_host: Callable[[httpx.URL], None],
        check: Callable[[], None],
        now: Callable[[], float] = time.time,
        client: Mapping[str, Any] | None = None,
    ) -> None:
        """
        *check_host* raises for a host that credentials may not go to, *check* when the process is to stop; *client* holds
        options of the HTTP client.
        """
        self._auth = auth
        self._path = path
        self._check_host = check_host
        self._check = check
        self._client_options = dict(client or {"timeout": 30.0})
        self._now = now
        self._origin = _fingerprint(auth)
        self._lock = threading.Lock()
        self._file_lock = FileLock(path.with_name(f"{path.name}.lock"), mode=0o600)
        self._token: Token | None = None
        hide(auth.client_secret, auth.refresh_token, auth.private_key)

    def token(self) -> Token:
        """Return a token that is good for a while, renewing it where needed."""
        token = self._token
        if token is not None and self._good(token):
            return token
        return self._exchange(refused=None)

    def renew(self, refused: str) -> Token:
        """Return another token than *refused*, which the vendor did not accept."""
        return self._exchange(refused=refused)

    def _good(self, token: Token) -> bool:
        return token.expires_at - EARLY_S > self._now()

    def _exchange(self, refused: str | None) -> Token:
        with self._lock:
            self._acquire()
            try:
                token = self._read()  # somebody may have renewed it while we waited
                if token is None or token.access_token == refused or not self._good(token):
                    token = self._ask(token)
                    self._write(token)
                self._token = token
                return token
            finally:
                self._file_lock.release()

    def _acquire(self) -> None:
        until = time.monotonic() + LOCK_LIMIT_S
        while True:
            self._check()
            try:
                self._file_lock.acquire(timeout=0.25, poll_interval=0.02)
            except Timeout:
                if time.monotonic() > until:
                    raise TransientError("another process takes too long to renew the token", maybe_acted=False) from None
            except OSError as error:
                raise StoreError(f"{self._path}: the lock beside it cannot be made ({error.strerror})") from error
            else:
                return

    # The file

    def _read(self) -> Token | None:
        try:
            kept = json.loads(self._path.read_bytes())
            token = Token(**kept)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be read ({error.strerror})") from error
        except (ValueError, TypeError):
            raise StoreError(f"{self._path}: is damaged; delete it and renew the connection's credentials") from None
        if token.origin != self._origin:
            return None
        hide(token.access_token, token.refresh_token)
        return token

    def _write(self, token: Token) -> None:
        try:
            handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)  # made with mode 0600
            try:
                with os.fdopen(handle, "w") as file:
                    json.dump(asdict(token), file)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self._path)
                sync_folder(self._path.parent)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(
                f"{self._path}: the new token cannot be written ({error.strerror}); the old one may be used up"
            ) from error

    # The vendor

    def _ask(self, kept: Token | None) -> Token:
        self._check_host(httpx.URL(self._auth.token_url))
        refresh_token = kept.refresh_token if kept is not None and kept.refresh_token else _secret(self._auth.refresh_token)
        try:
            answer = self._grant(refresh_token)
        except httpx.HTTPError as error:
            # whatever the token server did, the request that the token is for was not carried out
            raise TransientError(f"the token server could not be asked ({type(error).__name__})", maybe_acted=False) from error
        access_token = answer.get("access_token")
        if not isinstance(access_token, str) or not access_token:
            raise ProtocolError("the token server's answer holds no access token")
        rotated = answer.get("refresh_token") or refresh_token
        hide(access_token, rotated)
        return Token(
            access_token,
            expires_at=self._now() + _seconds(answer.get("expires_in")),
            refresh_token=rotated if self._auth.grant == "refresh" else None,
            base_url=self._base_url(answer),
            origin=self._origin,
        )

    def _grant(self, refresh_token: str | None) -> Mapping[str, Any]:
        OAuthError, AssertionClient, OAuth2Client = _authlib()  # noqa: N806 - classes
        auth = self._auth
        scope = " ".join(auth.scopes) or None
        try:
            if auth.grant == "jwt_bearer":
                with AssertionClient(
                    auth.token_url, auth.client_id, auth.subject, auth.audience, scope=scope, header={"alg": "RS256"},
                    key=_private_key(auth.private_key), **self._client_options,
                ) as client, warnings.catch_warnings():  # fmt: skip
                    warnings.simplefilter("ignore")  # it grumbles about keys given as text
                    return self._judged(client.refresh_token)
            with OAuth2Client(
                auth.client_id, _secret(auth.client_secret), scope=scope,
                token_endpoint_auth_method=auth.token_auth if auth.client_secret else "none", **self._client_options,
            ) as client:  # fmt: skip
                if auth.grant == "client_credentials":
                    extra = {"audience": auth.audience} if auth.audience else {}
                    return self._judged(client.fetch_token, auth.token_url, grant_type="client_credentials", **extra)
                held = refresh_token or _missing("refresh token")
                return self._judged(client.refresh_token, auth.token_url, refresh_token=held)
        except OAuthError as error:
            raise _refused(error.error) from None  # its text may hold the vendor's words about a person

    def _judged(self, ask: Callable[..., Any], *args: Any, **options: Any) -> Mapping[str, Any]:
        try:
            return ask(*args, **options)  # type: ignore[no-any-return]
        except httpx.HTTPStatusError as error:  # authlib's word for a 5xx, and for a page that is not JSON
            status = error.response.status_code
            if status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS:
                raise TransientError("the token server cannot answer now", status=status, maybe_acted=False) from None
            raise AuthError("the token server refused the credentials; authorise the connection again", status=status) from None
        except (ValueError, TypeError, KeyError) as error:
            raise ProtocolError(f"the token server's answer or the key cannot be read ({type(error).__name__})") from None

    def _base_url(self, answer: Mapping[str, Any]) -> str | None:
        key = self._auth.base_url_key
        if key is None:
            return None
        url = answer.get(key)
        if not isinstance(url, str) or not url:
            raise ProtocolError("the token server's answer holds no base URL")
        self._check_host(httpx.URL(url))
        return url.rstrip("/")


@lru_cache(maxsize=1)
def _authlib() -> tuple[type[Any], type[Any], type[Any]]:
    # heavy, and most connections need none of it
    importlib.import_module("authlib.deprecate")  # sets a warning filter of its own, so it comes before ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather have a successor of httpx
        from authlib.integrations.base_client import OAuthError
        from authlib.integrations.httpx_client import AssertionClient, OAuth2Client
    return OAuthError, AssertionClient, OAuth2Client


def _private_key(secret: Any) -> str:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = _secret(secret) or _missing("private key")
    try:
        load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):
        raise ConfigError("the connection's private key is no unencrypted key in PEM form") from None
    return text


def sync_folder(folder: Path) -> None:
    """Make a rename in *folder* survive a power cut."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _secret(secret: Any) -> str | None:
    return None if secret is None else str(secret.get_secret_value())


def _missing(what: str) -> str:
    raise ConfigError(f"signing in needs a {what}, and the connection's settings give none")


def _seconds(expires_in: Any) -> float:
    try:
        return max(0.0, float(expires_in)) if expires_in is not None else LIFE_S
    except (TypeError, ValueError):
        return LIFE_S


def _fingerprint(auth: OAuth2) -> str:
    parts = (auth.token_url, auth.client_id, auth.grant, auth.subject, _secret(auth.refresh_token), " ".join(auth.scopes))
    return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()[:32]


def _refused(code: str | None) -> ConnectorError:
    short = code if code and _CODE.fullmatch(code) else None
    if short in ("temporarily_unavailable", "server_error"):
        return TransientError("the token server cannot answer now", code=short, maybe_acted=False)
    return AuthError("the token server refused the credentials; authorise the connection again", code=short)
