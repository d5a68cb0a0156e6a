"""
From a response, or the lack of one, to an `Answer` or one typed error: the only table of statuses there is.

A connector's `classify` is asked first on every response. Messages hold no body, no query and no address.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
import orjson

from core.contract import Answer, Json, Quota, ResponseView
from core.errors import (
    AuthError,
    ConnectorError,
    NotFoundError,
    ProtocolError,
    RateLimited,
    RejectedError,
    TransientError,
)
from core.http.said import Said, said
from core.limits.bucket import QUOTA_S
from core.log import redact

Classify = Callable[[ResponseView], ConnectorError | None]

FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""What httpx raises where there is no answer, a host in a redirect that cannot be decoded included."""

NEAR_S: Final = 60.0
"""A reset no further away than this is waited for."""

_JSON_TYPES = re.compile(r"[/+](?:json|javascript|x-json)\b", re.IGNORECASE)
_DIGITS: Final = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else ord(" ") for byte in range(256))
_MANY_DIGITS: Final = b"0" * 19
"""The least that an integer beyond 64 bits has (-9,223,372,036,854,775,809), as `_DIGITS` shows digits."""
_STEP: Final = 4
"""No four bytes of a time (2026-06-01T08:00:00Z) that are so far apart are all digits, as seven are that are three apart."""
_STEPS: Final = b"0" * (len(_MANY_DIGITS) // _STEP)
"""The least of them that are seen if one looks at every fourth byte."""
HASH_BLOT: Final = "[hash]"
_HASH = re.compile(r"(?<![0-9a-zA-Z])[0-9a-fA-F]{32,128}(?![0-9a-zA-Z])")
"""A digest in a path: some vendors know people by that of their address, which is as good as the address."""
_REQUEST_ID = re.compile(r"(?:request|correlation|trace)-?id$")
_SAFE_ID = re.compile(r"[\w.:/=+-]{1,100}")


@dataclass(frozen=True, slots=True)
class Asked:
    """The request in the words of messages."""

    method: str
    path: str
    """As the connector gave it."""

    @property
    def words(self) -> str:
        return f"{self.method} {_HASH.sub(HASH_BLOT, redact(self.path.partition('?')[0]))}"


@dataclass(frozen=True, slots=True)
class Received:
    """A response read to its end."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def text(self) -> str:
        encoding = httpx.Response(self.status, headers=self.headers).charset_encoding
        return self.content.decode(encoding or "utf-8", errors="replace")

    @property
    def content_type(self) -> str:
        return str(self.headers.get("content-type", "")).lower()


def to_answer(asked: Asked, received: Received, *, classify: Classify | None, allow: Sequence[int], now: datetime) -> Answer:
    """Return the answer; raise the typed error that the connector or the table of statuses makes of it."""
    error = classify(view_of(asked, received, now)) if classify is not None else None
    if error is None and not 200 <= received.status < 300 and received.status not in allow:
        error = error_for_status(asked, received.status)
    if error is not None:
        raise complete(error, received, now)
    return Answer(received.status, received.headers, parse_body(asked, received, lenient=received.status in allow))


def view_of(asked: Asked, received: Received, now: datetime) -> ResponseView:
    """Return what a connector's own functions see of a response."""
    return ResponseView(received.status, received.headers, received.text, asked.method, asked.path, now)


def error_for_status(asked: Asked, status: int) -> ConnectorError:
    """The table."""
    what = asked.words
    match status:
        case 401 | 407:
            return AuthError(f"{what} was refused: the credentials are wrong, expired or revoked; renew them")
        case 403:
            return AuthError(f"{what} was forbidden: the credentials lack a permission; grant it and run `tagalong check`")
        case 404 | 410:
            return NotFoundError(f"{what}: there is no such thing")
        case 429:
            return RateLimited(f"{what}: too many requests")
        case 423 | 425:
            return TransientError(f"{what}: not ready for it yet", maybe_acted=False)
        case 408:
            return TransientError(f"{what}: the vendor waited too long for the request")
        case 501 | 505:
            return RejectedError(f"{what} is not something the vendor can do")
        case _ if 500 <= status < 600:
            return TransientError(f"{what} failed at the vendor")
        case _ if 400 <= status < 500:
            return RejectedError(f"{what} was refused as it is")
        case _:
            return ProtocolError(f"{what} was answered in a way that we do not understand")


def complete(error: ConnectorError, received: Received, now: datetime) -> ConnectorError:
    """Fill in what every error of a response has: status, request id, how long to wait; and let no secret through."""
    error.message = redact(error.message)
    error.args = (error.message,)
    told = said(received.content) if received.status >= 400 or isinstance(error, RejectedError) else Said(None, "")
    error.code = told.code if error.code is None else redact(error.code)
    error.said = error.said or told.message
    error.status = received.status if error.status is None else error.status
    error.request_id = request_id(received.headers) if error.request_id is None else redact(error.request_id)
    if isinstance(error, TransientError) and error.retry_after_s is None:
        error.retry_after_s = retry_after_s(received.headers, now)
    return error


def request_id(headers: httpx.Headers) -> str | None:
    """Return the vendor's own number of the request, by which its support finds it."""
    for name, value in headers.items():
        if _REQUEST_ID.search(name) and _SAFE_ID.fullmatch(value):
            return redact(value)  # it may be an echo of what we sent
    return None


def retry_after_s(headers: httpx.Headers, now: datetime) -> float | None:
    """Return the seconds that `Retry-After` asks for, in either of its forms; None where there is none to understand."""
    text = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(text)) if re.fullmatch(r"\d{1,9}(\.\d+)?", text) else _until(text, now)
    except (ValueError, TypeError, OverflowError):
        return None


def _until(text: str, now: datetime) -> float | None:
    if not text:
        return None
    at = parsedate_to_datetime(text)
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def remaining_wait_s(headers: httpx.Headers, now: float) -> float | None:
    """
    Return how long to leave the vendor alone because its `RateLimit-Remaining` (any prefix) is 0 and its `-Reset` is near.

    The reset is seconds from now, or since 1970. A far one is not this limit's affair: it may be the day's.
    """
    for name, value in headers.raw:
        if value.strip() == b"0" and (name := name.lower()).endswith((b"ratelimit-remaining", b"rate-limit-remaining")):
            try:
                reset = float(headers.get(name.decode().removesuffix("remaining") + "reset", ""))
            except ValueError:
                return None
            wait_s = reset - now if reset > 1e9 else reset
            return wait_s if 0 < wait_s <= NEAR_S else None
    return None


def quota_told(headers: httpx.Headers, now: float) -> Quota | None:
    """
    Return what the headers say of a quota: `...-Remaining` beside `...-Limit`, or beside the name without it.

    Only of a quota: one that is called daily, or that is there again in an hour or more: a shorter one is `remaining_wait_s`'.
    """
    for name in headers:
        if not name.endswith("remaining"):
            continue
        stem = name.removesuffix("remaining")
        told = [_number(headers.get(key)) for key in (name, f"{stem}limit", stem.rstrip("-"), f"{stem}reset")]
        left, limit, reset = told[0], told[1] if told[1] is not None else told[2], told[3]
        wait_s = None if reset is None else reset - now if reset > 1e9 else reset
        if left is None or not limit or not ("dail" in name or "day" in name or (wait_s or 0.0) >= QUOTA_S):
            continue
        resets_at = None if wait_s is None or wait_s <= 0 else datetime.fromtimestamp(now + wait_s, UTC)
        return Quota(limit, left, resets_at=resets_at)
    return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def parse_body(asked: Asked, received: Received, *, lenient: bool = False) -> Json:
    """Return the parsed JSON, None for an empty body, text where the content type says so; else ProtocolError."""
    content = received.content
    if not content or content.isspace():
        return None
    kind = received.content_type
    declared = not kind or _JSON_TYPES.search(kind) is not None
    if not declared and content.lstrip()[:1] not in (b"{", b"["):
        if lenient or (kind.startswith(("text/", "application/xml")) and "html" not in kind):
            return received.text
        what = "an HTML page" if "html" in kind else f"a body of another type ({_short(kind)})"
        raise ProtocolError(f"{asked.words} was answered with {what} where JSON was due", status=received.status)
    try:
        return parse_json(content)
    except (ValueError, RecursionError) as error:
        if lenient or (not declared and kind.startswith("text/")):
            return received.text
        # the parser's own message quotes the body, so it stays out; `from None` keeps it out of tracebacks too
        kept = type(error).__name__
        raise ProtocolError(
            f"{asked.words} was answered with {len(content)} bytes that are not JSON, or only the beginning of it ({kept})",
            status=received.status,
            request_id=request_id(received.headers),
        ) from None


def parse_json(content: bytes) -> Json:
    """
    Return what `json.loads` does, in half of the time for most answers. ValueError or RecursionError for what is no JSON.

    orjson makes floats of integers beyond 64 bits, so what has so many digits in a row is left to the standard library; so is
    what only that takes (NaN, a lone surrogate, a number that is infinite).
    """
    if _STEPS not in content[::_STEP].translate(_DIGITS) or _MANY_DIGITS not in content.translate(_DIGITS):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(content)
    return json.loads(content)


def _short(text: str) -> str:
    return re.sub(r"[^\w/+.-]", "", text.partition(";")[0])[:60]


def transport_error(asked: Asked, error: httpx.HTTPError | httpx.InvalidURL | UnicodeError) -> ConnectorError:
    """Return the typed error for a request that brought no whole answer."""
    name = type(error).__name__
    match error:
        case httpx.ConnectTimeout() | httpx.ConnectError() | httpx.PoolTimeout() | httpx.ProxyError():
            return TransientError(f"{asked.words}: no connection could be made ({name})", maybe_acted=False)
        case httpx.TimeoutException():
            return TransientError(f"{asked.words}: no answer in time ({name})")
        case httpx.NetworkError() | httpx.RemoteProtocolError():
            return TransientError(f"{asked.words}: the connection was lost ({name})")
        case _:
            return ProtocolError(f"{asked.words} could not be sent or read ({name})")
