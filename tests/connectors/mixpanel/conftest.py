"""A Mixpanel sandbox whose every request is held against the schemas that the vendor's card comes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mixpanel_rows import FOLDER
from support.recorder import Asked, Recorder, apart, judged

from connectors.mixpanel.sandbox import MixpanelSandbox
from core.contract import Audience, Page
from core.registry import load_connector

REQUESTS = json.loads((FOLDER / "schemas" / "requests.json").read_text(encoding="utf-8"))["requests"]


class Recorded(Recorder):
    """What is asked of the sandbox."""

    def note(self, asked: Asked) -> tuple[str, dict[str, str], Any]:
        """What was asked (`GET /path`), its query, and its body: a form as a mapping of texts."""
        return f"{asked.method} {asked.path}", dict(asked.query), asked.body

    def of(self, what: str) -> list[tuple[dict[str, str], Any]]:
        """Return query and body of each request of `METHOD /path`, oldest first."""
        return [(query, body) for asked, query, body in self.seen if asked == what]


@pytest.fixture
def make_project(sandbox_api: Callable[..., Any], clock: Any) -> Iterator[Callable[..., Any]]:
    """`make_project(settings={}, **switches)`: an api against a sandbox; `.recorder` has the requests, judged at the end."""
    sandbox = partial(MixpanelSandbox, now=clock, rate_factor=1000)
    with judged(sandbox, Recorded, apart(sandbox_api, "mixpanel"), problems) as make:
        yield make


def problems(recorder: Recorder) -> list[str]:
    """Return what is wrong with the requests seen, by the schemas."""
    return [
        f"{asked}: {part}: {error.message}"
        for asked, query, body in recorder.seen
        for part, value in (("query", query), ("body", body))
        for error in Draft202012Validator(REQUESTS[asked][part]).iter_errors(value)
    ]


@pytest.fixture
def project(make_project: Callable[..., Any]) -> Any:
    """An api against a sandbox with its usual manners."""
    return make_project()


@pytest.fixture
def pulled() -> Callable[..., list[Page]]:
    """`pulled(api, stream, cursor=None, resume=None)`: all pages."""

    def pull(api: Any, name: str, cursor: Any = None, resume: str | None = None) -> list[Page]:
        return list(load_connector("mixpanel").streams(api.settings)[name].pull(api, cursor, resume))

    return pull


@pytest.fixture
def field() -> Audience:
    """The audience."""
    audience = load_connector("mixpanel").audiences["field"]
    return audience(audience.Params())
