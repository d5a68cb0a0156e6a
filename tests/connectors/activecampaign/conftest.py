"""An ActiveCampaign sandbox whose every request is held against schemas written from the vendor's reference."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.openapi import validate_request
from support.recorder import Recorder, judged

from connectors.activecampaign.sandbox import ActiveCampaignSandbox
from core.contract import Audience, Stream
from core.registry import load_connector

DOCUMENT = json.loads((Path(__file__).parent / "schemas/requests.json").read_text(encoding="utf-8"))
CONNECTOR = load_connector("activecampaign")


class Recorded(Recorder):
    """What is asked of the sandbox."""

    def bodies(self, path: str) -> list[Any]:
        """Return the bodies sent to *path*, oldest first."""
        return [body for _, where, _, body in self.seen if where.endswith(path) and body is not None]


@pytest.fixture
def make_mail(sandbox_api: Callable[..., Any], clock: Callable[[], Any]) -> Iterator[Callable[..., Any]]:
    """`make_mail(settings={}, **switches)`: an api against a sandbox; `.recorder` has the requests, judged at the end."""
    sandbox = partial(ActiveCampaignSandbox, now=clock, rate_factor=1000)
    with judged(sandbox, Recorded, lambda box, settings: sandbox_api("activecampaign", box, **settings), problems) as make:
        yield make


def problems(recorder: Recorder) -> list[str]:
    """Return what is wrong with the requests seen, by the schemas."""
    return [problem for asked in recorder.seen for problem in validate_request(DOCUMENT, *asked)]


@pytest.fixture
def mail(make_mail: Callable[..., Any]) -> Any:
    """An api against a sandbox with its usual manners."""
    return make_mail()


@pytest.fixture
def streams() -> dict[str, Stream]:
    """The streams by name."""
    return dict(CONNECTOR.module.STREAMS)


@pytest.fixture
def tag() -> Audience:
    """The audience of tags."""
    audience = CONNECTOR.audiences["tag"]
    return audience(audience.Params())


@pytest.fixture
def field() -> Audience:
    """The audience of yes-or-no fields."""
    audience = CONNECTOR.audiences["field"]
    return audience(audience.Params())
