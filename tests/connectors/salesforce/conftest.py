"""An org on loopback whose every request is held against the schemas that were written from the vendor's pages."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from jsonschema import Draft202012Validator
from support.recorder import Asked, Recorder, behind, judged

from connectors.salesforce.campaigns import Campaign, CampaignParams
from connectors.salesforce.sandbox import SalesforceSandbox
from core.sandbox import Served, serve

HERE = Path(__file__).parent
ENDPOINTS = json.loads((HERE / "schemas" / "requests.json").read_text(encoding="utf-8"))["requests"]


class Recorded(Recorder):
    """What is asked of the sandbox."""

    def note(self, asked: Asked) -> tuple[str, str, dict[str, str], Any]:
        return asked.method, asked.path, dict(asked.query), _body(asked.kind, asked.content)

    def bodies(self, method: str, path: str) -> list[Any]:
        """Return the bodies sent to a path that ends so, oldest first."""
        return [body for how, where, _, body in self.seen if how == method and where.endswith(path)]

    def soql(self) -> list[str]:
        """Return the queries, oldest first."""
        return [query["q"] for _, path, query, _ in self.seen if path.endswith(("/query", "/queryAll"))]


def _body(kind: str, body: bytes) -> Any:
    if not body:
        return None
    if kind == "text/csv":
        return list(csv.DictReader(io.StringIO(body.decode())))
    if kind.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(body.decode()))
    return json.loads(body)


def faults_of(method: str, path: str, query: dict[str, str], body: Any) -> list[str]:
    """Return what is wrong with a request by the schemas."""
    known = [each for each in ENDPOINTS if each["method"] == method and re.fullmatch(each["path"], path)]
    if len(known) != 1:
        return [f"{method} {path} is {'no' if not known else 'more than one'} request of the schemas"]
    nothing = {"type": "null"}
    parts = ((query, known[0].get("query", {"maxProperties": 0})), (body, known[0].get("body", nothing)))
    return [f"{method} {path}: {e.message}" for value, schema in parts for e in Draft202012Validator(schema).iter_errors(value)]


@pytest.fixture(scope="module")
def _served() -> Iterator[Served]:
    """One server a module; each test puts an org of its own behind it."""
    with serve({"salesforce": SalesforceSandbox()}) as served:
        yield served["salesforce"]


@pytest.fixture
def org(clock: Any, fake_api: Callable[..., Any], _served: Served) -> Iterator[Callable[..., Any]]:
    """`org(settings={}, **sandbox options)`: an api against a new org; `.sandbox`, `.served`, `.recorder`."""
    sandbox = partial(SalesforceSandbox, now=clock)
    with judged(sandbox, Recorded, behind(_served, fake_api, "salesforce"), problems) as make:
        yield make


def problems(recorder: Recorded) -> list[str]:
    """Return what is wrong with the requests seen, by the schemas."""
    return [fault for asked in recorder.seen for fault in faults_of(*asked)]


@pytest.fixture
def campaign() -> Campaign:
    """The audience."""
    return Campaign(CampaignParams())


@pytest.fixture
def payload() -> Callable[[str], dict[str, Any]]:
    """Return a payload file by its name."""
    return lambda name: json.loads((HERE / "payloads" / f"{name}.json").read_text(encoding="utf-8"))
