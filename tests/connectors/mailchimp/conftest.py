"""A Mailchimp sandbox whose every request is held against the vendor's published document, where that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from support.openapi import SPECS, load_document, validate_request
from support.recorder import Recorder, apart, judged

from connectors.mailchimp.sandbox import MailchimpSandbox
from core.contract import Audience, Stream
from core.registry import load_connector


class Recorded(Recorder):
    """What is asked of the sandbox."""

    def bodies(self, method: str = "POST") -> list[Any]:
        """Return the bodies sent with *method*, oldest first."""
        return [body for how, _, _, body in self.seen if how == method]


@pytest.fixture
def make_mail(sandbox_api: Callable[..., Any], clock: Callable[[], Any]) -> Iterator[Callable[..., Any]]:
    """`make_mail(**switches)`: an api against a sandbox; `.recorder` has the requests, judged at the end."""
    sandbox = partial(MailchimpSandbox, now=clock)
    with judged(sandbox, Recorded, apart(sandbox_api, "mailchimp"), problems) as make:
        yield make


def problems(recorder: Recorder) -> list[str]:
    """Return what is wrong with the requests seen, by the document."""
    if not (SPECS / "mailchimp.json").is_file():
        return []
    document = load_document("mailchimp.json")
    return [problem for asked in recorder.seen for problem in validate_request(document, *asked)]


@pytest.fixture
def stream() -> Stream:
    """The stream of members."""
    return load_connector("mailchimp").module.STREAMS["members"]


@pytest.fixture
def tag() -> Audience:
    """The audience."""
    audience = load_connector("mailchimp").audiences["tag"]
    return audience(audience.Params())
