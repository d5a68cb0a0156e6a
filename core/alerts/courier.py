"""
Sends what waits in the outbox: at least once, in order, again with growing distances for a day, and then no more.

An endpoint that is away is logged once when it goes and once when it returns, and stops nobody: whoever calls is a thread of
its own, or a command that waits no longer than it says.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from core.alerts import notices, slack, webhook
from core.alerts.notices import Notice
from core.clock import from_us, to_us
from core.config.alerts import Endpoint, endpoint
from core.config.model import AlertConfig, Config
from core.errors import HubError, ProtocolError, RejectedError, TransientError, told
from core.http.answers import FAILURES, Asked, to_answer, transport_error
from core.http.client import trusted
from core.http.hosts import host_of, is_loopback
from core.http.wire import head_of
from core.log import hide, log
from core.store import Store, alerts
from core.store.alerts import Message

TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
CLAIM: Final = timedelta(minutes=2)
"""How long a message is whoever took it's: longer than one try takes."""
FIRST_WAIT_S: Final = 10.0
LONGEST_WAIT_S: Final = 3600.0
GIVE_UP_AFTER: Final = timedelta(hours=24)
HOPELESS: Final = frozenset({400, 413, 422})
"""Statuses of a message that is refused as it is, and so tomorrow; a door that is locked, moved or gone may be mended."""
LONGEST_PATIENCE_S: Final = 6 * 3600.0
"""More than this no `Retry-After` is kept to: it would end a day of tries."""


@dataclass(frozen=True, slots=True)
class Courier:
    """Delivers for one process. *environ* and the config's folder are where secrets come from."""

    config: Config
    open_store: Callable[[], Store]
    clock: Callable[[], datetime]
    environ: Mapping[str, str]
    stopping: Callable[[], bool] = lambda: False
    rng: random.Random = field(default_factory=random.Random)

    def deliver(self, *, daemon: bool) -> int:
        """Send what is due, one alert after the other; return how many messages arrived."""
        arrived = 0
        with self.open_store() as store:
            for alert in self.config.alerts.values():
                while alert.enabled and (daemon or alert.when == "always") and not self.stopping():
                    came = self._next(store, alert)
                    arrived += came is True
                    if not came:
                        break
        return arrived

    def _next(self, store: Store, alert: AlertConfig) -> bool | None:
        """Try the first message; None where none is due, False where those behind it have to wait."""
        now = self.clock()
        with store.atomic() as conn:
            message = alerts.claim(conn, alert.name, at=to_us(now), until=to_us(now + CLAIM))
        if message is None:
            return None
        try:
            self.send(alert, notices.read(message.notice), message.message_id)
        except Exception as error:
            self._failed(store, message, error)
            return False
        with store.atomic() as conn:
            away = alerts.delivered(conn, message, at=to_us(self.clock()))
        if away is not None:
            log.info("alert_endpoint_came_back", alert=alert.name, away_s=round((self.clock() - from_us(away)).total_seconds()))
        return True

    def send(self, alert: AlertConfig, notice: Notice, message_id: str) -> None:
        """
        Send one message, once.

        Raises:
            HubError: it did not arrive, as far as can be told; no address of Slack's and no secret is in the text.
        """
        to = endpoint(alert, self.config.folder, self.environ)
        hide(to.url, to.secret)
        body = slack.content(notice) if alert.kind == "slack" else webhook.content(notice)
        signed = {} if to.secret is None else webhook.headers(message_id, body, to.secret, self.clock())
        _post(to, body, signed, self.clock())

    def _failed(self, store: Store, message: Message, error: Exception) -> None:
        now = self.clock()
        wait_s = _wait_s(message.attempts, self.rng)
        if isinstance(error, TransientError) and error.retry_after_s is not None:
            wait_s = max(wait_s, min(error.retry_after_s, LONGEST_PATIENCE_S))
        last = now + timedelta(seconds=wait_s) > from_us(message.made_at) + GIVE_UP_AFTER
        hopeless = isinstance(error, RejectedError) and error.status in HOPELESS
        next_try_at = None if last or hopeless else to_us(now + timedelta(seconds=wait_s))
        with store.atomic() as conn:
            news = alerts.put_off(conn, message, reason=told(error), at=to_us(now), next_try_at=next_try_at)
        if news:
            log.warning("alert_endpoint_went_away", alert=message.alert, reason=told(error))
        if next_try_at is None:
            log.warning("alert_given_up", alert=message.alert, message=message.message_id, tries=message.attempts)


def _wait_s(attempts: int, rng: random.Random) -> float:
    ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempts - 1, 20))
    return rng.uniform(ceiling / 2, ceiling)


def _post(to: Endpoint, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
    url = httpx.URL(to.url)
    asked = Asked("POST", host_of(url))  # the rest of Slack's address is a credential
    with _client(url) as client:
        try:
            with client.stream("POST", url, content=body, headers={"content-type": "application/json", **headers}) as response:
                received = head_of(response)
                elsewhere = response.has_redirect_location
        except FAILURES as error:
            raise transport_error(asked, error) from None  # its request has the whole address
    if elsewhere:
        raise ProtocolError(f"{asked.words} was answered with a redirect, which is not followed", status=received.status)
    to_answer(asked, received, classify=None, allow=(), now=now)


@contextmanager
def _client(url: httpx.URL) -> Iterator[httpx.Client]:
    own = is_loopback(host_of(url))  # a proxy in the environment has no business with this machine
    options: dict[str, Any] = {
        "timeout": TIMEOUT,
        "follow_redirects": False,
        "trust_env": not own,
        "headers": {"user-agent": "tagalong"},
    }
    with httpx.Client(verify=trusted(), **options) as client:
        yield client


def send_test(courier: Courier, alert: AlertConfig) -> str | None:
    """Send a test message past the outbox; return why it did not arrive, None where it did."""
    try:
        courier.send(alert, notices.trial(courier.clock()), alerts.new_id())
    except HubError as error:
        return told(error)
    return None
