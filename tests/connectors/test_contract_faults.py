"""
Every connector that speaks HTTP, with each fault of one table at each request of its sandbox.

A fault is survived with the same records and verdicts, or it ends in the typed error that the table names; no record is lost in
silence, and nothing is confirmed that was not done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.connected import Connected
from support.suite import DESTINATIONS, SOURCES, api_of, examples_of, pages_of, pull_all, renews, streams_of, with_small_pages

from core.contract import Fault, Kind, Verdict
from core.errors import AuthError, ConnectorError, ProtocolError, TransientError
from core.sandbox import Delayed, Reset, Rewritten, Spoiler, Truncated

JSON = {"content-type": "application/json"}
TIMEOUT_S = 0.05
CUT = 0.7
FAULTS: dict[str, tuple[Spoiler, type[Exception] | None]] = {
    "401": (Fault(401, JSON, b"{}"), AuthError),
    "403": (Fault(403, JSON, b"{}"), AuthError),
    "404": (Fault(404, JSON, b"{}"), ConnectorError),
    "429 with Retry-After": (Fault(429, {**JSON, "retry-after": "7"}, b"{}"), None),
    "429 without": (Fault(429, JSON, b"{}"), None),
    "500": (Fault(500, JSON, b"{}"), None),
    "503": (Fault(503, {"content-type": "text/plain"}, b"down"), None),
    "timeout": (Delayed(3 * TIMEOUT_S), None),
    "connection lost before": (Reset(), None),
    "connection lost after": (Reset(act=True), None),
    "HTML for JSON": (Fault(200, {"content-type": "text/html"}, b"<html><title>Login</title></html>"), ProtocolError),
    "truncated JSON": (Truncated(CUT), ProtocolError),
}
"""What goes wrong once, and the error that must come; None: a pull survives it."""
PAGELESS = {
    "amplitude": "an archive for each hour",
    "google_analytics": "a report for each day",
    "salesforce": "the vendor says how many come at a time, and a hundred people are one page",
    "mixpanel": "lines for each day; its profiles come 1,000 a page, by a size that no request can change",
}
"""Sources whose pages no request can make small."""
CERTAIN = {"401", "HTML for JSON", "truncated JSON"}
"""Faults that no connector may take for an answer, at whatever request."""


class Once:
    """
    Spoils the request that is *number* requests ahead; `happened` tells whether there was anything to spoil.

    Only the request that will be answered late is not waited for: the others may take their time on a busy machine.
    """

    def __init__(self, api: Any, number: int, spoiler: Spoiler) -> None:
        self.happened = False
        self._served = api.served
        self._at: int = api.served.count + number
        self._spoiler = Rewritten(self._cut) if isinstance(spoiler, Truncated) else spoiler
        api.served.faults = self._spoil
        api._wire.client.event_hooks = {"request": [self._hurry] if isinstance(spoiler, Delayed) else []}

    def _hurry(self, request: Any) -> None:
        if self._served.count + 1 == self._at:  # all before it have been answered
            request.extensions["timeout"] = {"connect": 60, "write": 60, "pool": 60, "read": TIMEOUT_S}

    def _spoil(self, _method: str, _path: str, number: int) -> Spoiler | None:
        if number != self._at:
            return None
        self.happened = not isinstance(self._spoiler, Rewritten)
        return self._spoiler

    def _cut(self, body: bytes) -> bytes:
        self.happened = bool(body)  # an answer without a body cannot be cut short
        return body[: int(len(body) * CUT)]


class Asked:
    """What is asked from now on, as `METHOD /path`."""

    def __init__(self, api: Any) -> None:
        self.lines: list[str] = []
        api.served.faults = self._note

    def _note(self, method: str, path: str, _number: int) -> None:
        self.lines.append(f"{method} {path}")

    def numbers(self) -> Iterator[int]:
        """Yield (from 1) the first, the second and the last of each; of many, the first eight and the last two."""
        alike: dict[str, list[int]] = {}
        for number, line in enumerate(self.lines, 1):
            alike.setdefault(line, []).append(number)
        telling = sorted({number for each in alike.values() for number in (*each[:2], each[-1])})
        yield from (*telling[:8], *telling[8:][-2:])


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_request_of_a_pull_loses_nothing_in_silence(name: str, fault: str, sandbox_api: Any):
    api = api_of(name, sandbox_api)
    spoiler, error = FAULTS[fault]
    certain = CERTAIN - {"401"} if renews(name, api) else CERTAIN
    for stream in streams_of(name, api).values():
        asked = Asked(api)
        right = pull_all(api, stream)
        assert right
        for number in asked.numbers():
            where = f"{stream.name}, request {number}"
            once = Once(api, number, spoiler)
            try:
                got = pull_all(api, stream)
            except ConnectorError as raised:
                assert error is not None, f"{where}: {fault} was not survived: {raised!r}"
                assert isinstance(raised, error), f"{where}: {raised!r}"
                assert "@" not in str(raised)
            else:
                if not once.happened:  # a token that was fetched the first time is there by now
                    continue
                assert fault not in certain, f"{where}: {fault} was taken for an answer"
                assert got.keys() == right.keys(), f"{where}: records were lost in silence"


@pytest.mark.parametrize("name", SOURCES)
def test_an_empty_page_with_a_next_token_is_not_the_end(name: str, sandbox_api: Any, monkeypatch: pytest.MonkeyPatch):
    """Only the records of the emptied page may be missing: a page without records says nothing about the next."""
    with_small_pages(name, monkeypatch)
    api = api_of(name, sandbox_api)
    tried = 0
    for stream in streams_of(name, api).values():
        api.served.faults = None
        pages = [len(page.records) for page in pages_of(api, stream)]
        if len(pages) < 2 or not pages[0]:
            continue
        emptied: list[int] = []

        def empty(body: bytes, *, size: int = pages[0], emptied: list[int] = emptied) -> bytes:
            try:
                answer = json.loads(body)
            except ValueError:  # an archive, lines: there is no page to empty
                return body
            for key, value in answer.items() if isinstance(answer, dict) else ():
                if not emptied and isinstance(value, list) and len(value) == size and isinstance(value[0], dict):
                    answer[key] = []
                    emptied.append(size)
            return json.dumps(answer).encode()

        api.served.faults = lambda _method, _path, _n, empty=empty: Rewritten(empty)
        try:
            got = sum(len(page.records) for page in pages_of(api, stream))
        except ProtocolError:  # paging by the last record's id cannot go on after none: said, not swallowed
            got = sum(pages)
        assert got >= sum(pages) - sum(emptied)
        tried += bool(emptied)
    assert tried or name in PAGELESS


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in PAGELESS])
def test_pages_that_go_in_circles_stop_the_stream_with_its_checkpoint_kept(
    name: str, sandbox_api: Any, store: Any, monkeypatch: pytest.MonkeyPatch
):
    """The vendor gives the same page for ever, token and all."""
    with_small_pages(name, monkeypatch)
    api = api_of(name, sandbox_api)
    mine = Connected(store, lambda: api.now, name, dict(api.sandbox.settings()), name="it")
    streams = streams_of(name, api).values()
    paged = [stream for stream in streams if stream.kind is not Kind.EVENT]  # those are asked for by time, not page by page
    several = [stream for stream in paged if sum(bool(page.records) for page in pages_of(api, stream)) > 1]
    assert several
    first: dict[str, bytes] = {}
    for stream in several:
        first.clear()
        api.served.faults = lambda _method, path, _n: Rewritten(lambda body: first.setdefault(path, body))
        (result,) = mine.pull(api, streams=[stream.name]).streams
        assert isinstance(result.error, ProtocolError), f"{stream.name}: {result}"
        assert not result.complete


@pytest.mark.parametrize("name", DESTINATIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_request_of_a_push_never_confirms_what_was_not_done(name: str, fault: str, sandbox_api: Any):
    api = api_of(name, sandbox_api)
    spoiler, error = FAULTS[fault]
    certain = CERTAIN - {"401"} if renews(name, api) else CERTAIN
    for example in examples_of(name, api):
        api.served.faults = None
        first, second = example.refs[:2]
        audience_id = example.create(api)
        asked = Asked(api)
        example.apply(api, audience_id, [first], [])
        for number in asked.numbers():
            once = Once(api, number, spoiler)
            try:
                outcomes = example.apply(api, audience_id, [second], [])
            except ConnectorError as raised:
                assert isinstance(raised, error or TransientError), repr(raised)
                assert "@" not in str(raised)
            else:
                assert fault not in certain or not once.happened, f"{fault} was taken for an answer"
                assert outcomes[0].verdict not in (Verdict.DONE, Verdict.NOOP) or len(example.there(api)) == 2
            api.served.faults = None
            example.apply(api, audience_id, [], [second])
