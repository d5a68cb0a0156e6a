"""A Typeform account on loopback whose every request is held against the published document, where that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from support.openapi import SPECS, load_document, validate_request
from support.recorder import Asked, Recorder, behind, judged
from typeform_rows import responses

from connectors.typeform.sandbox import TypeformSandbox
from core.contract import Page
from core.sandbox import Served, serve


class Recorded(Recorder):
    """What is asked of the sandbox."""

    def note(self, asked: Asked) -> tuple[str, str, list[tuple[str, str]]]:
        return asked.method, asked.path, asked.query

    def asked(self, ending: str) -> list[dict[str, str]]:
        """Return the queries of the requests to paths with that ending, oldest first."""
        return [dict(query) for _, path, query in self.seen if path.endswith(ending)]


@pytest.fixture(scope="module")
def _served() -> Iterator[Served]:
    """One server a module; each test puts an account of its own behind it."""
    with serve({"typeform": TypeformSandbox()}) as served:
        yield served["typeform"]


@pytest.fixture
def survey(clock: Any, fake_api: Callable[..., Any], _served: Served) -> Iterator[Callable[..., Any]]:
    """`survey(settings={}, **switches)`: an api against a new account; `.recorder` is judged at the end."""
    sandbox = partial(TypeformSandbox, now=clock, rate_factor=1000)
    with judged(sandbox, Recorded, behind(_served, fake_api, "typeform"), problems) as make:
        yield make


def problems(recorder: Recorder) -> list[str]:
    """Return what is wrong with the requests seen, by the document; the authorization server is not in it."""
    if not (SPECS / "typeform.json").is_file():
        return []
    document = load_document("typeform.json")
    asked = [one for one in recorder.seen if not one[1].startswith("/oauth/")]
    return [problem for one in asked for problem in validate_request(document, *one)]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred answers a page, where the size is not what a test is about."""
    monkeypatch.setattr("connectors.typeform.paging.RESPONSES_PER_PAGE", 100)


@pytest.fixture
def pages() -> Callable[..., list[Page]]:
    """`pages(api, cursor=None, resume=None, form="nps")`: the pages of one form, as a pull asks for them."""

    def ask(api: Any, cursor: str | None = None, resume: str | None = None, form: str = "nps") -> list[Page]:
        stream = responses(api)
        assert stream.slices is not None
        list(stream.slices(api))
        return list(stream.pull(api, cursor, resume, form))

    return ask
