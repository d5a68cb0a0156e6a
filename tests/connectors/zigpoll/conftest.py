"""Zigpoll on loopback, each request held against a JSON Schema of what the vendor's own clients send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.recorder import Asked, Recorder, behind, judged
from zigpoll_rows import responses, schema

from connectors.zigpoll.sandbox import ZigpollSandbox
from core.contract import Page
from core.sandbox import Served, serve


class Recorded(Recorder):
    """What is asked of the sandbox."""

    def note(self, asked: Asked) -> tuple[str, dict[str, str]]:
        return asked.path, dict(asked.query)

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the queries of the requests to *path*, oldest first."""
        return [query for at, query in self.seen if at == path]


@pytest.fixture(scope="module")
def _served() -> Iterator[Served]:
    """One server a module; each test puts a vendor of its own behind it."""
    with serve({"zigpoll": ZigpollSandbox()}) as served:
        yield served["zigpoll"]


@pytest.fixture
def survey(clock: Any, fake_api: Callable[..., Any], _served: Served) -> Iterator[Callable[..., Any]]:
    """`survey(settings={}, **switches)`: an api against a new vendor; `.recorder` is judged at the end."""
    sandbox = partial(ZigpollSandbox, now=clock, rate_factor=1000)
    with judged(sandbox, Recorded, behind(_served, fake_api, "zigpoll"), problems) as make:
        yield make


def problems(recorder: Recorder) -> list[str]:
    """Return what is wrong with the requests seen, by the schemas."""
    return [
        f"{path}: {error.message}"
        for path, query in recorder.seen
        for error in Draft202012Validator(schema(path, "request")).iter_errors(query)
    ]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred answers a page, where the size is not what a test is about."""
    monkeypatch.setattr("connectors.zigpoll.listing.PER_PAGE", 100)


@pytest.fixture
def pages() -> Callable[..., list[Page]]:
    """`pages(api, cursor=None, resume=None)`: the pages of the first account."""
    return lambda api, cursor=None, resume=None: list(responses(api).pull(api, cursor, resume, "acc1"))
