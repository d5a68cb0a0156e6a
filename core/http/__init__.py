"""
HTTP, done once for every connector: one client per connection, its credentials, its budget, its retries, its typed errors.

    api          the words of the contract              hosts      where credentials may go
    wire         a request from beginning to end        streams    NDJSON and downloads
    answers      the table from status to error         public     downloads without credentials
    said         what a vendor says of a refusal        files      the config's folder
    retrying     what is sent again, and when           encode     plain values as query, form, JSON
    waiting      sleeping, interruptibly                outage     a vendor that is away is left alone
    patience     when a request may go                  observe    what was answered, for a person who looks on
    permit       whether it still may                   written    what was carried out before something failed
    vendor_time  what a pull takes for now              meanwhile  what is done while an answer is waited for
    client       httpx, without what costs and is not needed
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import httpx

from core.auth import Tokens, make_signer
from core.clock import Clock, utc_now
from core.contract import Auth, Limit, OAuth2, ResponseView, Settings
from core.errors import ConfigError
from core.http.api import HttpApi
from core.http.client import Client, trusted
from core.http.files import Folder
from core.http.hosts import Hosts, host_of, is_loopback
from core.http.observe import Observer
from core.http.outage import Outage
from core.http.patience import Patience
from core.http.retrying import Repeater
from core.http.vendor_time import VendorTime
from core.http.waiting import Waiter
from core.http.wire import Wire
from core.limits.budget import shared_budget
from core.log import hide_settings
from core.registry import Connector
from core.tokens import Exchange, HeldToken, Token, TokenKeeper, TokenPlace, Vault

__all__ = ["HttpApi", "is_signed_in", "open_api", "open_exchange", "token_path"]

T = TypeVar("T")
TIMEOUT = httpx.Timeout(30.0, connect=10.0, read=60.0, pool=60.0)
CONNECTIONS = httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=15.0)


def open_api(
    connector: Connector,
    settings: Settings,
    *,
    connection: str,
    store_path: Path,
    folder: Path,
    clock: Clock = utc_now,
    stop: threading.Event | None = None,
    sleep: Callable[[float], None] | None = None,
    seconds: Callable[[], float] = time.time,
    rng: random.Random | None = None,
    timeout: httpx.Timeout | float = TIMEOUT,
    transport: httpx.BaseTransport | None = None,
    limits: Sequence[Limit] | None = None,
    tokens: TokenPlace = "file",
    token: Token | None = None,
    observer: Observer | None = None,
    reserve: float = 0.0,
    probe: bool = False,
) -> HttpApi:
    """
    Return the api of one connection; nothing is sent yet.

    *seconds* is the clock that waits and rates go by, *clock* the one that records are dated by. *limits* stand in for the
    manifest's: for a sandbox that keeps others. *tokens* says where OAuth 2 tokens are kept; *token* is one that is not kept,
    and only tried. *observer* is shown the answers to what is written there. *reserve* is the share of a quota that is left to
    people; with *probe* a vendor is asked though it is left alone.

    Raises:
        ConfigError: the base URL leads to a host that the manifest does not name.
    """
    manifest = connector.manifest
    hide_settings(settings)
    auth = connector.auth(settings)
    hosts = _hosts(connector, settings, auth, connection)
    waiter = Waiter(stop=stop, sleep=sleep, seconds=seconds)
    options = _client_options(hosts, timeout=timeout, transport=transport)
    source: Tokens | None = None
    if isinstance(auth, OAuth2):
        exchange, vault = _exchange(auth, connection, hosts, waiter, options), Vault(token_path(store_path, connection), tokens)
        keeper = TokenKeeper(exchange, vault, check=waiter.check, now=waiter.now)
        source = keeper if token is None else HeldToken(exchange, token)
    with ExitStack() as stack:
        budget = stack.enter_context(shared_budget(store_path, connection, manifest.limits if limits is None else limits))
        time_there = VendorTime(clock, not_before=manifest.checked_on)
        outage = Outage(connection, budget.kept, clock, probe=probe)
        wire = Wire(
            connection=connection,
            base_url=None if _is_told_at_sign_in(auth, settings) else _base_url(connector, settings),
            hosts=hosts,
            signer=make_signer(auth, source),
            classify=connector.classify,
            rest_until=_telling(connector.rest_until, settings),
            client=stack.enter_context(Client(headers=_headers(connector), limits=CONNECTIONS, **options)),
            patience=Patience(budget=budget, waiter=waiter, outage=outage, clock=clock, time=time_there, reserve=reserve),
            quota=_telling(connector.quota, settings),
            time=time_there,
            observer=observer,
        )
        place = Folder(folder.absolute(), store_path.absolute())
        return HttpApi(wire, Repeater(waiter.sleep, rng), place, settings=settings, closing=stack.pop_all())


def open_exchange(connector: Connector, settings: Settings, *, connection: str) -> Exchange:
    """
    Return what fetches tokens for one connection; nothing is sent yet.

    Raises:
        ConfigError: these settings name no sign-in page, or a host that the manifest does not.
    """
    hide_settings(settings)
    auth = connector.auth(settings)
    if not isinstance(auth, OAuth2) or auth.grant != "refresh" or not auth.authorize_url:
        raise ConfigError(f"connection {connection}: {connector.manifest.title} has no sign-in page for what is configured")
    hosts = _hosts(connector, settings, auth, connection)
    return _exchange(auth, connection, hosts, Waiter(), _client_options(hosts, timeout=TIMEOUT, transport=None))


def is_signed_in(connector: Connector, settings: Settings, *, connection: str, store_path: Path, tokens: TokenPlace) -> bool:
    """Return whether there is a sign-in to try; also where none by a person is needed. Nothing is sent."""
    auth = connector.auth(settings)
    if not isinstance(auth, OAuth2) or auth.grant != "refresh" or auth.refresh_token is not None:
        return True
    return Vault(token_path(store_path, connection), tokens).read() is not None


def _exchange(auth: OAuth2, connection: str, hosts: Hosts, waiter: Waiter, options: Mapping[str, Any]) -> Exchange:
    return Exchange(auth, connection=connection, check_host=hosts.check, now=waiter.now, client=options)


def token_path(store_path: Path, connection: str) -> Path:
    """Return the file that holds a connection's token, or says where it is."""
    return store_path.absolute().with_name(f"{store_path.name}.{connection}.token")


def _base_url(connector: Connector, settings: Settings) -> str | None:
    return (settings.base_url or connector.manifest.base_url or "").rstrip("/") or None


def _is_told_at_sign_in(auth: Auth, settings: Settings) -> bool:
    """Return whether the answer to a sign-in says where the vendor's API is."""
    return isinstance(auth, OAuth2) and auth.base_url_key is not None and settings.base_url is None


def _headers(connector: Connector) -> Mapping[str, str]:
    return {"user-agent": f"tagalong/{_version()}", "accept": "application/json", **connector.manifest.headers}


def _client_options(hosts: Hosts, **own: object) -> Mapping[str, Any]:
    return {
        "verify": trusted(),
        "trust_env": not hosts.loopback,  # a proxy in the environment has no business with a sandbox
        "follow_redirects": False,
        **own,
    }


def _telling(ask: Callable[[ResponseView, Any], T] | None, settings: Settings) -> Callable[[ResponseView], T] | None:
    return None if ask is None else lambda response: ask(response, settings)


def _hosts(connector: Connector, settings: Settings, auth: Auth, connection: str) -> Hosts:
    """Return where credentials may go; a vendor that names no hosts (self-hosted) is where the settings say it is."""
    texts = [url for url in (_base_url(connector, settings), auth.token_url if isinstance(auth, OAuth2) else None) if url]
    try:
        urls = [httpx.URL(text) for text in texts]
    except (httpx.InvalidURL, UnicodeError):
        raise ConfigError(f"connection {connection}: its base URL cannot be read") from None
    own = tuple({host_of(url) for url in urls})
    suffixes = (
        *connector.manifest.hosts,
        *(own if connector.manifest.host_in_settings or not connector.manifest.hosts else ()),
    )
    hosts = Hosts(suffixes, loopback=any(is_loopback(host_of(url)) for url in urls))
    for url in urls:
        if not hosts.allows(url):
            raise ConfigError(
                f"connection {connection}: {url.scheme}://{host_of(url)} is not one of the hosts that"
                f" {connector.manifest.title}'s credentials may go to ({', '.join(suffixes)}, over https)"
            )
    return hosts


@lru_cache(maxsize=1)
def _version() -> str:
    try:
        return version("tagalong")
    except PackageNotFoundError:
        return "0"
