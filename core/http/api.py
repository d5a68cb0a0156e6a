"""
`HttpApi`: the vendor as a connector sees it, and the life of one request in one place (`_once`).

Refuse while a quota is used up, wait for the budget, sign, send, renew the credentials once, follow a redirect on the vendor's own
hosts, read, judge. What is done again, and when, is `retrying`'s; what an answer means is `answers`'.
"""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import httpx

from core.auth import Signer
from core.budget import Budget
from core.clock import Clock
from core.contract import Answer, Json
from core.errors import ConfigError, ConnectorError, ProtocolError, QuotaExhausted, RateLimited, TransientError
from core.http import outage
from core.http.answers import Asked, Classify, Received, to_answer, transport_error
from core.http.encode import encode_json, encode_pairs
from core.http.files import Folder
from core.http.hosts import Hosts, is_private
from core.http.retrying import HARMLESS, PATIENCE_S, Repeater
from core.http.streams import json_lines, save
from core.http.waiting import Waiter
from core.log import log

T = TypeVar("T")

MAX_BODY_BYTES: Final = 256 * 1024 * 1024
MAX_REDIRECTS: Final = 5


@dataclass(slots=True)
class Tally:
    """What an api has done so far."""

    requests: Counter[str] = field(default_factory=Counter)
    wait_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it was asked for, ready to be sent any number of times."""

    asked: Asked
    url: httpx.URL
    content: bytes | None
    headers: Mapping[str, str]
    limit_path: str


class HttpApi:
    """Implements `core.contract.Api`. Made by `core.http.open_api`; a context manager."""

    def __init__(
        self,
        *,
        connection: str,
        title: str,
        settings: Any,
        base_url: str | None,
        hosts: Hosts,
        signer: Signer,
        classify: Classify | None,
        client: httpx.Client,
        budget: Budget,
        waiter: Waiter,
        repeater: Repeater,
        folder: Folder,
        clock: Clock,
        closing: ExitStack,
    ) -> None:
        self.connection = connection
        self._title = title
        self._settings = settings
        self._base_url = base_url
        self._hosts = hosts
        self._signer = signer
        self._classify = classify
        self._client = client
        self._budget = budget
        self._waiter = waiter
        self._repeater = repeater
        self._folder = folder
        self._clock = clock
        self._closing = closing
        self._tally = Tally()

    def __repr__(self) -> str:
        return f"HttpApi({self.connection!r})"

    def __enter__(self) -> HttpApi:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the client and let go of the budget; harmless twice."""
        self._closing.close()

    @property
    def settings(self) -> Any:
        return self._settings

    @property
    def now(self) -> datetime:
        return self._clock()

    @property
    def requests(self) -> Counter[str]:
        """Requests sent so far, by method; each try counts."""
        return self._tally.requests

    @property
    def wait_s(self) -> float:
        """Seconds waited so far to keep to the vendor's limits."""
        return self._tally.wait_s

    # Requests

    def get(self, path: str, *, params: Mapping[str, object] | None = None, **query: object) -> Json:
        """GET and parse; see `core.contract.Api`."""
        return self._request("GET", path, params=params, query=query).body

    def post(self, path: str, **request: Any) -> Json:
        """POST; sent again only with `repeat=True`, or when the vendor certainly did nothing."""
        return self._request("POST", path, **request).body

    def put(self, path: str, **request: Any) -> Json:
        """PUT."""
        return self._request("PUT", path, **request).body

    def patch(self, path: str, **request: Any) -> Json:
        """PATCH; as `post`."""
        return self._request("PATCH", path, **request).body

    def delete(self, path: str, **request: Any) -> Json:
        """DELETE."""
        return self._request("DELETE", path, **request).body

    def request(self, method: str, path: str, *, allow: Sequence[int] = (), **request: Any) -> Answer:
        """Any method, giving the whole answer; statuses in *allow* are answers, not errors."""
        return self._request(method.upper(), path, allow=allow, **request)

    def _request(
        self,
        method: str,
        path: str,
        *,
        allow: Sequence[int] = (),
        params: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        json: object = None,
        form: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool | None = None,
    ) -> Answer:
        asked = Asked(method, path)
        with self._located():
            call = self._call(asked, params, query, json, form, headers)
            harmless = method in HARMLESS if repeat is None else repeat
            return self._repeater(lambda: self._once(call, allow), harmless=harmless)

    def _call(
        self,
        asked: Asked,
        params: Mapping[str, object] | None,
        query: Mapping[str, object] | None,
        json: object,
        form: Mapping[str, object] | None,
        headers: Mapping[str, str] | None,
    ) -> Call:
        if json is not None and form is not None:
            raise TypeError("a request has either json or form")
        url, limit_path = self._url(asked.path, encode_pairs(params, query))
        sent = dict(headers or {})
        content: bytes | None = None
        if json is not None:
            content = encode_json(json)
            sent.setdefault("content-type", "application/json")
        elif form is not None:
            content = encode_pairs(form).encode()
            sent.setdefault("content-type", "application/x-www-form-urlencoded")
        return Call(asked, url, content, sent, limit_path)

    def _url(self, path: str, query: str) -> tuple[httpx.URL, str]:
        base = self._base_url or self._signer.base_url()
        if not base:
            raise ConfigError(f"connection {self.connection} has no base URL; set base_url")
        if path.startswith(("https://", "http://")):
            text, limit_path = path, path.removeprefix(base)
        else:
            limit_path = path if path.startswith("/") else f"/{path}"
            text = base + limit_path
        if "/../" in f"{limit_path.partition('?')[0]}/":
            raise ProtocolError("refused to send a path with '..' in it")
        if query:
            text += ("&" if "?" in text else "?") + query
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL:
            raise ProtocolError("refused to send a malformed URL") from None  # its message quotes the URL
        self._hosts.check(url)
        return url, limit_path.partition("?")[0]

    def _once(self, call: Call, allow: Sequence[int]) -> Answer:
        """Send *call* and return its answer, or raise the one typed error."""
        with self._judged(call):
            with self._budget.place(call.limit_path, self._waiter.check):
                received = self._received(call)
            return to_answer(call.asked, received, classify=self._classify, allow=allow, now=self._clock())

    def _received(self, call: Call) -> Received:
        with self._open(call) as response:
            return Received(response.status_code, response.headers, _read(call.asked, response), text_encoding=_encoding(response))

    @contextmanager
    def _open(self, call: Call) -> Iterator[httpx.Response]:
        """Send and yield the open response, credentials renewed and redirects followed where that is called for."""
        response = self._send(call, call.url)
        try:
            if response.status_code in self._signer.refresh_on:
                response.close()
                self._signer.renew(response.request)
                response = self._send(call, call.url)
            for _ in range(MAX_REDIRECTS):
                if not (response.has_redirect_location and call.asked.method in ("GET", "HEAD")):
                    break
                response.close()
                response = self._send(call, self._redirected(response))
            yield response
        finally:
            response.close()

    def _redirected(self, response: httpx.Response) -> httpx.URL:
        try:
            url = response.request.url.join(response.headers["location"])
        except httpx.InvalidURL:
            raise ProtocolError("the vendor redirects to a malformed URL") from None
        self._hosts.check(url)
        return url

    def _send(self, call: Call, url: httpx.URL) -> httpx.Response:
        self._pace(call.limit_path)
        request = self._client.build_request(call.asked.method, url, content=call.content, headers=call.headers)
        self._signer.sign(request)
        with self._tally.lock:
            self._tally.requests[call.asked.method] += 1
        try:
            response = self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise transport_error(call.asked, error) from error
        log.debug("request_sent", connection=self.connection, request=call.asked.words, status=response.status_code)
        return response

    def _pace(self, path: str) -> None:
        resume_at = self._budget.resume_at()
        if resume_at is not None and self._clock() < resume_at:
            raise QuotaExhausted("the vendor's quota is used up; the connection resumes by itself", resume_at=resume_at)
        wait_s = self._budget.take(path, self._waiter.now(), longest_wait_s=PATIENCE_S)
        if wait_s > PATIENCE_S:
            raise QuotaExhausted(
                "the limit is used up; the connection resumes by itself", resume_at=self._clock() + timedelta(seconds=wait_s)
            )
        if wait_s > 0:
            self._waiter.sleep(wait_s)
            with self._tally.lock:
                self._tally.wait_s += wait_s

    # What an error means for others

    @contextmanager
    def _located(self) -> Iterator[None]:
        """Say which connection an error is about, and log a vendor that goes away or comes back, once."""
        try:
            yield
        except ConnectorError as error:
            error.locate(connection=self.connection)
            if isinstance(error, TransientError) and not isinstance(error, RateLimited):
                outage.note_gone(self.connection, error)
            raise

    @contextmanager
    def _judged(self, call: Call) -> Iterator[None]:
        """Tell the budget what every process has to know of an answer: a pause, or patience."""
        try:
            yield
        except RateLimited as error:
            wait_s = error.retry_after_s
            if wait_s is not None and wait_s > PATIENCE_S:
                resume_at = self._clock() + timedelta(seconds=wait_s)
                self._budget.pause(resume_at)
                raise QuotaExhausted(
                    "the vendor asks for a long pause; the connection resumes by itself",
                    resume_at=resume_at,
                    status=error.status,
                    request_id=error.request_id,
                ) from error
            if wait_s:
                self._budget.hold_off(self._waiter.now() + wait_s)
            raise
        except QuotaExhausted as error:
            self._budget.pause(error.resume_at)
            raise
        else:
            outage.note_back(self.connection)

    # Streams

    def lines(self, path: str, *, params: Mapping[str, object] | None = None, **query: object) -> Iterator[Json]:
        """GET newline-delimited JSON, streamed; repeated only while not a line of it was handed out."""
        asked = Asked("GET", path)
        with self._located(), ExitStack() as stack:
            call = self._call(asked, params, query, None, None, None)
            response = self._repeater(lambda: self._begin(call, stack), harmless=True)
            yield from json_lines(asked, response)

    def _begin(self, call: Call, stack: ExitStack) -> httpx.Response:
        with self._judged(call), ExitStack() as trial:
            trial.enter_context(self._budget.place(call.limit_path, self._waiter.check))
            response = trial.enter_context(self._open(call))
            if response.status_code != httpx.codes.OK:
                received = Received(response.status_code, response.headers, _read(call.asked, response))
                to_answer(call.asked, received, classify=self._classify, allow=(), now=self._clock())
                raise ProtocolError(f"{call.asked.words} was answered without lines", status=response.status_code)
            if "html" in response.headers.get("content-type", "").lower():
                raise ProtocolError(f"{call.asked.words} was answered with an HTML page where lines were due")
            stack.enter_context(trial.pop_all())
            return response

    @contextmanager
    def download(self, url: str, *, max_bytes: int) -> Iterator[IO[bytes]]:
        """GET *url* without credentials into an unnamed file; gzip is undone, and *max_bytes* caps what comes of it."""
        with self._located(), tempfile.TemporaryFile(dir=self._folder.database.parent) as file:
            self._repeater(lambda: self._fetch(url, file, max_bytes), harmless=True)
            file.seek(0)
            yield file

    def _fetch(self, url: str, file: IO[bytes], max_bytes: int) -> None:
        asked = Asked("GET", _place(url))
        file.seek(0)
        file.truncate()
        self._waiter.check()
        with self._tally.lock:
            self._tally.requests["GET"] += 1
        try:
            request = httpx.Request("GET", url, headers={"accept-encoding": "identity", "user-agent": self._client.headers["user-agent"]})
            for _ in range(MAX_REDIRECTS):
                self._check_public(request.url)
                response = self._client.send(request, stream=True)
                try:
                    if not response.has_redirect_location:
                        if not response.is_success:
                            received = Received(response.status_code, response.headers, b"")
                            to_answer(asked, received, classify=None, allow=(), now=self._clock())
                        save(asked, response, file, max_bytes)
                        return
                    target = request.url.join(response.headers["location"])
                finally:
                    response.close()
                request = httpx.Request("GET", target, headers=request.headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise transport_error(asked, error) from error
        raise ProtocolError(f"{asked.words} is redirected without end")

    def _check_public(self, url: httpx.URL) -> None:
        fine = self._hosts.loopback if is_private(url.host) else url.scheme == "https"
        if not fine or url.scheme not in ("http", "https"):
            raise ProtocolError(f"refused to download from {url.scheme}://{url.host}, which is no public host over https")

    def poll(self, check: Callable[[], T | None], *, every_s: float, limit_s: float) -> T:
        """Call *check* until it gives something; TransientError after *limit_s*."""
        began = self._waiter.now()
        with self._located():
            while True:
                found = check()
                if found is not None:
                    return found
                left_s = limit_s - (self._waiter.now() - began)
                if left_s <= 0:
                    raise TransientError(f"the vendor's job did not end within {limit_s:.0f} s")
                self._waiter.sleep(min(every_s, left_s))

    # Files

    def read(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file under the config's folder."""
        return self._folder.read(path)

    def glob(self, pattern: str) -> Sequence[str]:
        """Return the files under the config's folder that match."""
        return self._folder.glob(pattern)

    def replace(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Write a file under the config's folder atomically."""
        return self._folder.replace(path)


def _read(asked: Asked, response: httpx.Response) -> bytes:
    try:
        chunks, size = [], 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise ProtocolError(f"{asked.words} was answered with more than {MAX_BODY_BYTES} bytes")
        return b"".join(chunks)
    except httpx.HTTPError as error:
        raise transport_error(asked, error) from error


def _encoding(response: httpx.Response) -> str:
    return response.charset_encoding or "utf-8"


def _place(url: str) -> str:
    """Return the host of a URL: the rest of a signed one is a credential."""
    try:
        return httpx.URL(url).host or "a malformed URL"
    except httpx.InvalidURL:
        return "a malformed URL"


