"""`HttpApi`: the vendor as a connector sees it. Here are the words of the contract; what they do is in the other modules."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import IO, Any, TypeVar

from core.contract import Answer, Fetched, Json
from core.errors import ConnectorError, RateLimited, TransientError
from core.http.answers import Asked
from core.http.files import Folder
from core.http.meanwhile import Meanwhile
from core.http.public import fetch_public
from core.http.retrying import HARMLESS, Repeater
from core.http.streams import json_lines
from core.http.wire import Call, Wire

T = TypeVar("T")


class HttpApi:
    """Implements `core.contract.Api`. Made by `core.http.open_api`; a context manager; thread-safe."""

    def __init__(self, wire: Wire, repeater: Repeater, folder: Folder, *, settings: Any, closing: ExitStack) -> None:
        self._wire = wire
        self._repeater = repeater
        self._folder = folder
        self._settings = settings
        self._closing = closing

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
    def connection(self) -> str:
        return self._wire.connection

    @property
    def settings(self) -> Any:
        return self._settings

    @property
    def now(self) -> datetime:
        return self._wire.time.now()

    @property
    def clock_ahead(self) -> timedelta | None:
        """By how much our clock was ahead of the vendor's when it last spoke, negative where it was behind; None: unknown."""
        return self._wire.time.ahead

    @property
    def base_url(self) -> str:
        with self._located():
            return self._repeater(self._wire.base, harmless=True)

    @property
    def requests(self) -> Counter[str]:
        """Requests sent so far, by method; each try counts, those for tokens do not."""
        return self._wire.patience.tally.requests

    @property
    def wait_s(self) -> float:
        """Seconds waited so far to keep to the vendor's limits, summed over threads."""
        return self._wire.patience.tally.wait_s

    @property
    def meanwhile(self) -> Meanwhile:
        """What the calling thread does while it waits for the vendor."""
        return self._wire.patience.waiter.meanwhile

    def get(self, path: str, *, params: Mapping[str, object] | None = None, **query: object) -> Json:
        """GET and parse."""
        return self._request("GET", path, params, query).body

    def post(self, path: str, **request: Any) -> Json:
        """POST; sent again only with `repeat=True`, or when the vendor certainly did nothing."""
        return self.request("POST", path, **request).body

    def put(self, path: str, **request: Any) -> Json:
        """PUT."""
        return self.request("PUT", path, **request).body

    def patch(self, path: str, **request: Any) -> Json:
        """PATCH; as `post`."""
        return self.request("PATCH", path, **request).body

    def delete(self, path: str, **request: Any) -> Json:
        """DELETE."""
        return self.request("DELETE", path, **request).body

    def request(
        self,
        method: str,
        path: str,
        *,
        allow: Sequence[int] = (),
        params: Mapping[str, object] | None = None,
        repeat: bool | None = None,
        **request: Any,
    ) -> Answer:
        """Any method, giving the whole answer; statuses in *allow* are answers, not errors."""
        return self._request(method.upper(), path, params, None, allow=allow, repeat=repeat, **request)

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, object] | None,
        query: Mapping[str, object] | None,
        *,
        allow: Sequence[int] = (),
        repeat: bool | None = None,
        **content: Any,
    ) -> Answer:
        with self._located():
            call = self._call(Asked(method, path), params, query, **content)
            harmless = method in HARMLESS if repeat is None else repeat
            writes = method not in ("GET", "HEAD")
            return self._repeater(lambda: self._wire.once(call, allow), harmless=harmless, writes=writes)

    def _call(self, asked: Asked, *queries: Mapping[str, object] | None, **content: Any) -> Call:
        if self._wire.base_url is None:  # it comes with a token that may have to be fetched
            self._repeater(self._wire.base, harmless=True)
        return self._wire.call(asked, *queries, **content)

    @contextmanager
    def _located(self) -> Iterator[None]:
        """Say which connection an error is about, and note that the vendor is away once the tries are used up."""
        try:
            yield
        except ConnectorError as error:
            error.locate(connection=self.connection)
            if isinstance(error, TransientError) and not isinstance(error, RateLimited):
                self._wire.patience.outage.began(error)
            raise

    def lines(self, path: str, *, params: Mapping[str, object] | None = None, **query: object) -> Iterator[Json]:
        """GET newline-delimited JSON, streamed; sent again only while not a byte of the lines was read."""
        asked = Asked("GET", path)
        with self._located(), ExitStack() as stack:
            call = self._call(asked, params, query, headers={"accept": "application/x-ndjson, application/json"})
            response = self._repeater(lambda: self._wire.begin(call, stack), harmless=True)
            yield from json_lines(asked, response)

    @contextmanager
    def fetch(
        self,
        path: str,
        *,
        max_bytes: int,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        allow: Sequence[int] = (),
    ) -> Iterator[Fetched]:
        """GET *path* with the credentials into an unnamed file; gzip is undone, and *max_bytes* caps what comes of it."""
        with tempfile.TemporaryFile(dir=self._folder.database.parent) as file:
            with self._located():
                call = self._call(Asked("GET", path), params, headers=headers)
                answer = self._repeater(lambda: self._wire.into(call, file, max_bytes, allow), harmless=True)
            file.seek(0)
            yield Fetched(answer.status, answer.headers, file)

    @contextmanager
    def download(self, url: str, *, max_bytes: int) -> Iterator[IO[bytes]]:
        """GET *url* without credentials into an unnamed file; gzip is undone, and *max_bytes* caps what comes of it."""
        with tempfile.TemporaryFile(dir=self._folder.database.parent) as file:
            with self._located():
                self._repeater(lambda: fetch_public(self._wire, url, file, max_bytes), harmless=True)
            file.seek(0)
            yield file

    def poll(self, check: Callable[[], T | None], *, every_s: float, limit_s: float) -> T:
        """Call *check* until it gives something; TransientError after *limit_s*."""
        waiter = self._wire.patience.waiter
        began = waiter.now()
        while (found := check()) is None:
            left_s = limit_s - (waiter.now() - began)
            if left_s <= 0:
                raise TransientError(f"the vendor's job did not end within {limit_s:.0f} s", connection=self.connection)
            waiter.sleep(min(every_s, left_s))
        return found

    def read(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file under the config's folder."""
        return self._folder.read(path)

    def glob(self, pattern: str) -> Sequence[str]:
        """Return the files under the config's folder that match."""
        return self._folder.glob(pattern)

    def replace(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Write a file under the config's folder atomically."""
        return self._folder.replace(path)
