"""`house("crm", "mail")`: a house with those vendors, served until the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from house import MAIL_KEY, House, sandboxes, without_sleep

from core.sandbox import serve


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., House]]:
    """`house("crm", "mail")`: a house with those vendors, served until the test ends."""
    with ExitStack() as stack:

        def build(*names: str) -> House:
            folder = tmp_path / "house"
            folder.mkdir()
            made = House(folder)
            made.boxes = dict(sandboxes(made.clock, names))
            made.served = stack.enter_context(serve(made.boxes))
            monkeypatch.setattr("connectors.mailchimp.sandbox.KEY", MAIL_KEY)
            without_sleep(monkeypatch, made.slept)
            return made

        yield build
