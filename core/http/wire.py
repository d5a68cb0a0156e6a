"""
The life of one request, in one place: `Wire.once`.

Refuse while a quota is used up, wait for the budget, sign, send, renew the credentials once, follow a redirect on the vendor's
own hosts, read, judge, and tell the budget what other processes have to know. What is done again, and when, is `retrying`'s;
what an answer means is `answers`'.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO, Final

import httpx

from core.auth import Signer
from core.budget import Budget, Grant
from core.clock import Clock
from core.contract import Answer, Quota, ResponseView
from core.errors import (
    ConfigError,
    ConnectorError,
    ProtocolError,
    QuotaExhausted,
    QuotaKept,
    RateLimited,
    TransientError,
    VendorAway,
)
from core.http.answers import (
    FAILURES,
    Asked,
    Classify,
    Received,
    quota_told,
    remaining_wait_s,
    to_answer,
    transport_error,
    view_of,
)
from core.http.encode import encode_json, encode_pairs
from core.http.hosts import Hosts
from core.http.observe import READS, Observer, Seen
from core.http.outage import Outage
from core.http.retrying import PATIENCE_S
from core.http.streams import save
from core.http.waiting import Waiter
from core.log import log

MAX_BODY_BYTES: Final = 256 * 1024 * 1024
MAX_REDIRECTS: Final = 5
KEPT: Final = "what is left of the vendor's quota is kept for people (reserve); runs that nobody looks on go on by themselves"
ASK_AGAIN: Final = timedelta(hours=1)
"""How long little is believed to be left of a quota whose end the vendor does not tell."""


@dataclass(slots=True)
class Tally:
    """What has been sent and waited for so far."""

    requests: Counter[str] = field(default_factory=Counter)
    wait_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, method: str) -> None:
        with self.lock:
            self.requests[method] += 1

    def waited(self, wait_s: float) -> None:
        with self.lock:
            self.wait_s += wait_s


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it was asked for, ready to be sent any number of times."""

    asked: Asked
    url: httpx.URL
    content: bytes | None
    headers: Mapping[str, str]
    limit_path: str
    """Relative to the base URL, without query: what the globs of limits are held against."""


@dataclass(slots=True)
class _Leaving:
    """Tells the budget when a request really leaves: httpx calls it with each of its steps, after the connection was made."""

    budget: Budget
    waiter: Waiter
    grant: Grant

    def now(self) -> None:
        self.grant = self.budget.departed(self.grant, self.waiter.now())

    def __call__(self, step: str, _facts: object) -> None:
        if step.endswith("send_request_headers.started"):
            self.now()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Wire:
    """Everything that a request of one connection passes on its way."""

    connection: str
    base_url: str | None
    """None: it comes with the token."""
    hosts: Hosts
    signer: Signer
    classify: Classify | None
    rest_until: Callable[[ResponseView], datetime | None] | None = None
    """Says how long the vendor is to be left alone after an answer that stands."""
    client: httpx.Client
    budget: Budget
    waiter: Waiter
    outage: Outage
    reserve: float = 0.0
    """The share of a quota that is left to people: 0 where one looks on."""
    quota: Callable[[ResponseView], Quota | None] | None = None
    """Reads how much of a quota is left out of an answer, where the vendor has a way of its own to say so."""
    clock: Clock
    observer: Observer | None = None
    """Is shown every answer to a request that is no mere reading."""
    tally: Tally = field(default_factory=Tally)

    def base(self) -> str:
        """Return where requests go, fetching a token where only that tells; "" where nothing does."""
        if self.base_url is not None:
            return self.base_url
        with self._judged():
            self._heed_pause()  # the token server is part of the vendor
            self.outage.refuse()
            return self.signer.base_url() or ""

    def call(
        self,
        asked: Asked,
        *queries: Mapping[str, object] | None,
        json: object = None,
        form: Mapping[str, object] | None = None,
        content: bytes | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Call:
        """Return the request in the form in which it is sent; ProtocolError for an address that it may not go to."""
        if sum(body is not None for body in (json, form, content)) > 1 or (content is None) != (content_type is None):
            raise TypeError("a request has one of json, form, and content with its content_type")
        url, limit_path = self._address(asked.path, encode_pairs(*queries))
        sent = dict(headers or {})
        if json is not None:
            content = encode_json(json)
            sent.setdefault("content-type", "application/json")
        elif form is not None:
            content = encode_pairs(form).encode()
            sent.setdefault("content-type", "application/x-www-form-urlencoded")
        elif content_type is not None:
            sent.setdefault("content-type", content_type)
        return Call(asked, url, content, sent, limit_path)

    def _address(self, path: str, query: str) -> tuple[httpx.URL, str]:
        base = self.base()
        if not base:
            raise ConfigError(f"connection {self.connection} has no base URL; set base_url")
        if path.startswith(("https://", "http://")):
            text, limit_path = path, path.removeprefix(base)
        else:
            limit_path = path if path.startswith("/") else f"/{path}"
            text = base + limit_path
        limit_path = limit_path.partition("?")[0]
        if "/../" in f"{limit_path}/":
            raise ProtocolError("refused to send a path with '..' in it")
        if query:
            text += ("&" if "?" in text else "?") + query
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, UnicodeError):
            raise ProtocolError("refused to send a malformed URL") from None  # its message quotes the URL
        self.hosts.check(url)
        return url, limit_path

    def once(self, call: Call, allow: Sequence[int]) -> Answer:
        """Send *call* and return its answer, or raise the one typed error."""
        with self._judged(), self.budget.place(call.limit_path, self.waiter.check):
            self.outage.admit()
            with self._open(call, allow) as response:
                received = _receive(call.asked, response)
            if self.observer is not None and call.asked.method not in READS:
                path = call.asked.path.partition("?")[0]
                self.observer(Seen(call.asked.method, path, received.status, received.text))
            return self._answer(call, received, allow)

    def into(self, call: Call, file: IO[bytes], max_bytes: int, allow: Sequence[int]) -> Answer:
        """Send *call*, write what comes to *file*, from its beginning, and return the answer without its body."""
        file.seek(0)
        file.truncate()
        with self._judged(), self.budget.place(call.limit_path, self.waiter.check):
            self.outage.admit()
            with self._open(call, allow) as response:
                if response.status_code == httpx.codes.OK:
                    if "html" in response.headers.get("content-type", "").lower():
                        raise ProtocolError(f"{call.asked.words} was answered with an HTML page where a file was due")
                    save(call.asked, response, file, max_bytes)
                    received = head_of(response)
                else:
                    received = _receive(call.asked, response)
            return self._answer(call, received, allow)

    def _answer(self, call: Call, received: Received, allow: Sequence[int]) -> Answer:
        now = self.clock()
        answer = to_answer(call.asked, received, classify=self.classify, allow=allow, now=now)
        if self.quota is not None:
            self._keep(self.quota(view_of(call.asked, received, now)))
        until = self.rest_until(view_of(call.asked, received, now)) if self.rest_until is not None else None
        if until is not None:
            self.budget.pause(until)
        return answer

    def begin(self, call: Call, stack: ExitStack) -> httpx.Response:
        """Send *call* and return its answer still open, to be closed by *stack*; a failure is raised as by `once`."""
        with self._judged(), ExitStack() as trial:
            trial.enter_context(self.budget.place(call.limit_path, self.waiter.check))
            self.outage.admit()
            response = trial.enter_context(self._open(call))
            if response.status_code != httpx.codes.OK:
                to_answer(call.asked, _receive(call.asked, response), classify=self.classify, allow=(), now=self.clock())
                raise ProtocolError(f"{call.asked.words} was answered without lines", status=response.status_code)
            if "html" in response.headers.get("content-type", "").lower():
                raise ProtocolError(f"{call.asked.words} was answered with an HTML page where lines were due")
            stack.enter_context(trial.pop_all())
            return response

    @contextmanager
    def _open(self, call: Call, allow: Sequence[int] = ()) -> Iterator[httpx.Response]:
        """Send and yield the open response, credentials renewed and redirects followed where that is called for."""
        response = self._send(call, call.url)
        try:
            if response.status_code in self.signer.refresh_on:
                response.close()
                self.signer.renew(response.request)
                response = self._send(call, call.url)
            for _ in range(MAX_REDIRECTS):
                wanted = response.has_redirect_location and response.status_code not in allow
                if not (wanted and call.asked.method in ("GET", "HEAD")):
                    break
                response.close()
                response = self._send(call, self._redirected(response))
            yield response
        finally:
            response.close()

    def _redirected(self, response: httpx.Response) -> httpx.URL:
        try:
            url = response.request.url.join(response.headers["location"])
        except (httpx.InvalidURL, UnicodeError):
            raise ProtocolError("the vendor redirects to a malformed URL") from None
        self.hosts.check(url)
        return url

    def _send(self, call: Call, url: httpx.URL) -> httpx.Response:
        leaving = _Leaving(self.budget, self.waiter, self._pace(call.limit_path))
        request = self.client.build_request(
            call.asked.method, url, content=call.content, headers=call.headers, extensions={"trace": leaving}
        )
        self.signer.sign(request)
        leaving.now()
        self.tally.count(call.asked.method)
        try:
            response = self.client.send(request, stream=True)
        except FAILURES as error:
            raise transport_error(call.asked, error) from error
        wait_s = remaining_wait_s(response.headers, self.waiter.now())
        if wait_s is not None:
            self.budget.hold_off(self.waiter.now() + wait_s)
        self._keep(quota_told(response.headers, self.waiter.now()))
        log.debug("request_sent", connection=self.connection, request=call.asked.words, status=response.status_code)
        return response

    def _heed_pause(self) -> None:
        resume_at = self.budget.resume_at()
        if resume_at is not None and self.clock() < resume_at:
            raise QuotaExhausted("the vendor's quota is used up; the connection resumes by itself", resume_at=resume_at)
        kept_until = self.budget.kept_until() if self.reserve else None
        if kept_until is not None and self.clock() < kept_until:
            raise QuotaKept(KEPT, resume_at=kept_until)

    def _pace(self, path: str) -> Grant:
        """Wait for the budget."""
        self._heed_pause()
        grant = self.budget.grant(path, self.waiter.now(), longest_wait_s=PATIENCE_S, reserve=self.reserve)
        wait_s = grant.wait_s
        if wait_s > PATIENCE_S and self.reserve:
            raise QuotaKept(KEPT, resume_at=self.clock() + timedelta(seconds=wait_s))
        if wait_s > PATIENCE_S:
            raise QuotaExhausted(
                "the vendor's limit is used up; the connection resumes by itself",
                resume_at=self.clock() + timedelta(seconds=wait_s),
            )
        if wait_s > 0:
            self.waiter.sleep(wait_s)
            self.tally.waited(wait_s)
        return grant

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Tell other processes what an answer means for them: patience, or a pause."""
        try:
            yield
        except TransientError as error:
            if isinstance(error, RateLimited):
                self.outage.ended()
            self._heed(error)
            raise
        except VendorAway:
            raise
        except QuotaKept as error:
            self.budget.keep_until(error.resume_at)
            raise
        except QuotaExhausted as error:
            self.budget.pause(error.resume_at)
            if error.status is not None:  # it was the vendor who said so
                self.outage.ended()
            raise
        except ConnectorError:
            self.outage.ended()
            raise
        else:
            self.outage.ended()

    def _keep(self, quota: Quota | None) -> None:
        """Where little of a quota is left, leave that to people: who goes on here is not waited for."""
        if quota is None or not self.reserve or quota.left > quota.limit * self.reserve:
            return
        now = self.clock()
        self.budget.keep_until(max(quota.resets_at or now + ASK_AGAIN, now))

    def _heed(self, error: TransientError) -> None:
        """Let every process wait as long as the vendor asks; for a long wait pause the connection instead."""
        wait_s = error.retry_after_s
        if not wait_s:
            return
        if wait_s <= PATIENCE_S:
            self.budget.hold_off(self.waiter.now() + wait_s)
            return
        resume_at = self.clock() + timedelta(seconds=wait_s)
        self.budget.pause(resume_at)
        if not error.maybe_acted:  # else the caller has to know that the outcome is unknown
            raise QuotaExhausted(
                "the vendor asks for a long pause; the connection resumes by itself",
                resume_at=resume_at,
                status=error.status,
                request_id=error.request_id,
            ) from error


def _receive(asked: Asked, response: httpx.Response) -> Received:
    chunks, size = [], 0
    try:
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise ProtocolError(f"{asked.words} was answered with more than {MAX_BODY_BYTES} bytes")
    except httpx.HTTPError as error:
        raise transport_error(asked, error) from error
    return Received(
        response.status_code, response.headers, b"".join(chunks), text_encoding=response.charset_encoding or "utf-8"
    )


def head_of(response: httpx.Response) -> Received:
    return Received(response.status_code, response.headers, b"")
