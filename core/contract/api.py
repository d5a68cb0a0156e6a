"""
What a connector is handed to talk to its vendor: no socket, sleep, retry or log line of its own.

The real one is in `core.http`; a test may write another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import StrEnum
from typing import IO, Any, Protocol, TypeVar

Json = Any
"""What a JSON body parses to. It stops here: parse it into plain values before it goes further."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose status or headers matter (207, 404 as no data, a count in a header)."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: Json
    """Parsed JSON, None when empty, text when the content type says so and `classify` let it pass."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of a quota (by the hour, the day) an answer says is left."""

    limit: float
    left: float
    _: KW_ONLY
    resets_at: datetime | None = None
    """When all of it is there again, where the vendor tells."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer kept in a file: an archive, a CSV."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    file: IO[bytes]
    """Unnamed, open for reading from its beginning; empty for a status other than 200 that was allowed."""


class Api(Protocol):
    """
    The vendor as a connector sees it. Synchronous and thread-safe.

    Keyword arguments of `get` that are not named below are query parameters: None is left out, lists repeat the name,
    booleans are `true` and `false`, aware datetimes are ISO 8601 with a Z. A name the vendor spells with brackets goes in
    *params*. Failures are the typed errors of `core.errors`; what is harmless to repeat was already retried.
    """

    @property
    def settings(self) -> Any:
        """The connection's `Settings`, secrets resolved."""

    @property
    def now(self) -> datetime:
        """
        What a pull may take for now, aware UTC: what the vendor last said (`Date`); by our clock where it has said nothing.

        Take it once where a pull begins: should the first answer show that our clock is ahead, the pull is begun again.
        """

    @property
    def base_url(self) -> str:
        """Where requests go: what the settings say, else what came with the token, else the manifest's; "" for no HTTP."""

    def get(self, path: str, *, params: Mapping[str, object] | None = None, **query: object) -> Json:
        """GET and parse. *path* is relative to the base URL, or an absolute URL on one of the manifest's hosts."""

    def post(self, path: str, **request: Any) -> Json:
        """
        POST *json*, *form* (flat mapping) or *content* (bytes, with *content_type*), with *params*, *headers*; `repeat=True`
        says it is harmless to send again.
        """

    def put(self, path: str, **request: Any) -> Json:
        """PUT; as `post`, and harmless to send again unless `repeat=False`."""

    def patch(self, path: str, **request: Any) -> Json:
        """PATCH; as `post`."""

    def delete(self, path: str, **request: Any) -> Json:
        """DELETE; harmless to send again unless `repeat=False`."""

    def request(self, method: str, path: str, *, allow: Sequence[int] = (), **request: Any) -> Answer:
        """
        Any method, giving the whole answer; statuses in *allow* are answers, not errors: a redirect among them is not followed,
        and its `location` may be a signed URL for `download`.
        """

    def lines(self, path: str, *, params: Mapping[str, object] | None = None, **query: object) -> Iterator[Json]:
        """GET newline-delimited JSON, streamed. Never retried after its first line: the slice starts again."""

    def fetch(
        self,
        path: str,
        *,
        max_bytes: int,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        allow: Sequence[int] = (),
    ) -> AbstractContextManager[Fetched]:
        """
        GET *path* with the credentials into an unnamed file; gzip is undone, statuses in *allow* are answers.

        *max_bytes* caps the decompressed size; more is a ProtocolError. An answer cut short is asked for again.
        """

    def download(self, url: str, *, max_bytes: int) -> AbstractContextManager[IO[bytes]]:
        """
        GET *url* without credentials into an unnamed file, open for reading; gzip is undone.

        *max_bytes* caps the decompressed size; more is a ProtocolError. The host may be any public one (object storage).
        """

    def poll(self, check: Callable[[], T | None], *, every_s: float, limit_s: float) -> T:
        """Call *check* until it gives something; TransientError after *limit_s*. The wait is interruptible."""

    def read(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file under the config's folder; ConfigError for one outside it."""

    def glob(self, pattern: str) -> Sequence[str]:
        """Return the files under the config's folder that match, sorted, as paths relative to it with forward slashes."""

    def replace(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """Write a file under the config's folder atomically (temporary, fsync, rename); nothing changes if the block raises."""


class Result(StrEnum):
    """How a named step of `check` ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One step of `tagalong check`: reach, authenticate, scopes, ..."""

    name: str
    result: Result
    _: KW_ONLY
    detail: str = ""
    remedy: str = ""
    """What to do about a failure, in one sentence."""


@dataclass(frozen=True, slots=True)
class ResponseView:
    """What `classify(response)` of a connector sees."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    text: str
    method: str
    path: str
    now: datetime
    """When it came, by the one clock."""

    def json(self) -> Json:
        """Return the parsed body, or None where it is not JSON."""
        import json

        try:
            return json.loads(self.text)
        except ValueError:
            return None
