"""
The life of one request, in one place: `Wire.once`.

Refuse while a quota is used up, wait for the budget, sign, send, renew the credentials once, follow a redirect on the vendor's
own hosts, read, judge, and tell the budget what other processes have to know. When a request may go is `patience`'s, what is
done again, and when, `retrying`'s; what an answer means is `answers`'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Final

import httpx

from core.auth import Signer
from core.contract import Answer, Quota, ResponseView
from core.errors import (
    ConfigError,
    ProtocolError,
)
from core.http import permit, written
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
from core.http.patience import LateError, Leaving, Patience
from core.http.streams import save
from core.http.vendor_time import VendorTime
from core.log import is_debugging, log

MAX_BODY_BYTES: Final = 256 * 1024 * 1024
MAX_REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it was asked for, ready to be sent any number of times."""

    asked: Asked
    url: httpx.URL
    content: bytes | None
    headers: Mapping[str, str]
    limit_path: str
    """Relative to the base URL, without query: what the globs of limits are held against."""


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
    patience: Patience
    quota: Callable[[ResponseView], Quota | None] | None = None
    """Reads how much of a quota is left out of an answer, where the vendor has a way of its own to say so."""
    time: VendorTime
    observer: Observer | None = None
    """Is shown every answer to a request that is no mere reading."""

    def base(self) -> str:
        """Return where requests go, fetching a token where only that tells; "" where nothing does."""
        if self.base_url is not None:
            return self.base_url
        with self.patience.judged():
            self.patience.heed_pause()  # the token server is part of the vendor
            self.patience.outage.refuse()
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
        with self.patience.judged(), self.patience.place(call.limit_path):
            self.patience.outage.admit()
            with self._open(call, allow) as response:
                received = _receive(call.asked, response)
            if self.observer is not None and call.asked.method not in READS:
                path = call.asked.path.partition("?")[0]
                self.observer(Seen(call.asked.method, path, received.status, received.text))
            answer = self._answer(call, received, allow)
            written.note(call.asked.method)
            return answer

    def into(self, call: Call, file: IO[bytes], max_bytes: int, allow: Sequence[int]) -> Answer:
        """Send *call*, write what comes to *file*, from its beginning, and return the answer without its body."""
        file.seek(0)
        file.truncate()
        with self.patience.judged(), self.patience.place(call.limit_path):
            self.patience.outage.admit()
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
        now = self.time.about_now()
        answer = to_answer(call.asked, received, classify=self.classify, allow=allow, now=now)
        if self.quota is not None:
            self.patience.keep(self.quota(view_of(call.asked, received, now)))
        until = self.rest_until(view_of(call.asked, received, now)) if self.rest_until is not None else None
        if until is not None:
            self.patience.budget.pause(until)
        return answer

    def begin(self, call: Call, stack: ExitStack) -> httpx.Response:
        """Send *call* and return its answer still open, to be closed by *stack*; a failure is raised as by `once`."""
        with self.patience.judged(), ExitStack() as trial:
            trial.enter_context(self.patience.place(call.limit_path))
            self.patience.outage.admit()
            response = trial.enter_context(self._open(call))
            if response.status_code != httpx.codes.OK:
                to_answer(
                    call.asked, _receive(call.asked, response), classify=self.classify, allow=(), now=self.time.about_now()
                )
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
        leaving = Leaving(self.patience, self.patience.pace(call.limit_path))
        request = self.client.build_request(
            call.asked.method, url, content=call.content, headers=call.headers, extensions={"trace": leaving}
        )
        self.signer.sign(request)
        response = self._depart(call, request, leaving)
        self.time.heard(response.headers)
        wait_s = remaining_wait_s(response.headers, self.patience.waiter.now())
        if wait_s is not None:
            self.patience.hold_off(wait_s)
        self.patience.keep(quota_told(response.headers, self.patience.waiter.now()))
        if is_debugging():
            log.debug("request_sent", connection=self.connection, request=call.asked.words, status=response.status_code)
        return response

    def _depart(self, call: Call, request: httpx.Request, leaving: Leaving) -> httpx.Response:
        """Send *request* as soon as its place has come and it is still permitted."""
        while True:
            leaving.now()
            permit.ask(call.asked.method)
            try:
                response = self.client.send(request, stream=True)
            except LateError:  # nothing of it was sent
                leaving.wait()
            except FAILURES as error:
                self.patience.tally.count(call.asked.method)
                raise transport_error(call.asked, error) from error
            else:
                self.patience.tally.count(call.asked.method)
                return response


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
    return Received(response.status_code, response.headers, b"".join(chunks))


def head_of(response: httpx.Response) -> Received:
    return Received(response.status_code, response.headers, b"")
