"""What the contract suite knows of every connector: its sandbox with people in it, its streams, its audiences."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.contract import Audience, Change, OAuth2, Outcome, Ref, Sandbox, Verdict, chunks, pick
from core.registry import connector_names, load_connector
from support.world import load_everything

NAMES = connector_names()
ONLINE = [name for name in NAMES if load_connector(name).manifest.hosts]
"""Those that speak HTTP."""
SOURCES = [name for name in ONLINE if {"STREAMS", "streams"} & vars(load_connector(name).module).keys()]
DESTINATIONS = [name for name in ONLINE if load_connector(name).audiences]
NOW = datetime(2026, 3, 2, 11, tzinfo=UTC)
PEOPLE = 130
DAYS = 75


def sandbox_of(name: str) -> Sandbox:
    """Return the sandbox of *name* with some hundred people in it."""
    sandbox = load_connector(name).sandbox(now=lambda: NOW, rate_factor=1000)
    load_everything(sandbox, people=PEOPLE)
    return sandbox


def api_of(name: str, sandbox_api: Callable[..., Any], **options: Any) -> Any:
    """Return an api against `sandbox_of`, both a thousand times as patient: what limits do is tested elsewhere."""
    limits = [replace(limit, amount=limit.amount * 1000) for limit in load_connector(name).manifest.limits]
    sandbox = sandbox_of(name)
    start = sandbox.settings().get("start")
    if start is not None:  # years of days without anything are asked for in requests that are all alike
        options["start"] = max(str(start), (NOW - timedelta(days=DAYS)).date().isoformat())
    return sandbox_api(name, sandbox, limits=limits, **options)


def renews(name: str, api: Any) -> bool:
    """Tell whether a single 401 is survived, because there are new credentials to be had."""
    return isinstance(load_connector(name).auth(api.settings), OAuth2)


def streams_of(name: str, api: Any) -> dict[str, Any]:
    """Return the streams of *name* by their names."""
    return dict(load_connector(name).streams(api.settings))


def with_small_pages(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a connector ask for ten at a time, whatever it calls that: its sandbox's hundred people are then several pages."""
    modules = [module for at, module in sys.modules.items() if at.startswith(f"connectors.{name}") and ".sandbox" not in at]
    sizes = [(module, key) for module in modules for key in vars(module) if re.search(r"(^|_)PAGE(_SIZE)?$", key)]
    for module, key in sizes:
        monkeypatch.setattr(module, key, min(vars(module)[key], 10))


def pages_of(api: Any, stream: Any) -> Iterator[Any]:
    """Yield every page of a full pull, slice after slice."""
    slices = [()] if stream.slices is None else [(slice_,) for slice_ in stream.slices(api)]
    return itertools.chain.from_iterable(stream.pull(api, None, None, *slice_) for slice_ in slices)


def pull_all(api: Any, stream: Any) -> dict[str, Any]:
    """Return every record of a full pull by key."""
    return {str(pick(record, stream.key)): record for page in pages_of(api, stream) for record in page.records}


@dataclass(slots=True)
class Example:
    """An audience of a connector, and eight people, or companies, whom its sandbox knows."""

    audience: Audience
    refs: list[Ref]
    name: str

    def create(self, api: Any) -> str:
        """Make the audience; where it cannot be empty the first of the eight is put in."""
        return self.audience.create(api, self.name, self.refs[:1] if self.audience.seeded else ())

    def there(self, api: Any) -> frozenset[str]:
        """Return who is in it, as the sandbox speaks of them."""
        return frozenset(api.sandbox.audiences()[self.name])

    def apply(self, api: Any, audience_id: str, adds: Sequence[Ref], removes: Sequence[Ref]) -> list[Outcome]:
        """Change members, and wait for what a job does."""
        outcomes = list(self.audience.apply(api, audience_id, [Change(ref) for ref in adds], removes))
        for job in {outcome.job for outcome in outcomes if outcome.verdict is Verdict.PENDING}:
            assert job is not None
            settled = api.poll(lambda job=job: self.audience.settle(api, audience_id, job), every_s=1, limit_s=60)
            outcomes = [_settled(one, settled) if one.job == job else one for one in outcomes]
        return outcomes


def _settled(outcome: Outcome, settled: Mapping[str, Outcome]) -> Outcome:
    found = settled.get(outcome.ref.remote_id) or settled[outcome.ref.handle or ""]
    return replace(found, ref=outcome.ref) if found.ref.remote_id != outcome.ref.remote_id else found


def examples_of(name: str, api: Any) -> Iterator[Example]:
    """Yield each audience of *name* with people to put into it."""
    connector = load_connector(name)
    for kind, cls in connector.audiences.items():
        audience = cls(cls.Params.model_validate(api.sandbox.params(kind)))
        keys = _keys(cls.key_kind) if cls.of == "person" else []
        refs = [Ref(key) for key in keys] or _records(name, api, cls)
        if cls.find is not Audience.find:
            found = [audience.find(api, some) for some in chunks(keys[:40], cls.find_batch)]
            refs = [refs[0] for each in found for refs in each.values() if len(refs) == 1]
        of = "" if audience.of == "person" else " of companies"  # a name may be in use once for all kinds
        spelled = f"Contract suite{of}" if audience.check_name("Contract suite") is None else "contract_suite"
        yield Example(audience, refs[:8], spelled)


def _records(name: str, api: Any, cls: type[Audience]) -> list[Ref]:
    """Return the companies that the audience's own stream brings: they are known by nothing else."""
    return [Ref(key) for key in pull_all(api, streams_of(name, api)[str(cls.ids_from)])]


def _keys(kind: str) -> list[str]:
    """Return what people are known by, those first whom CRM and e-mail tool both know."""
    if kind == "user_id":
        return [str(row["id"]) for row in load_everything.rows("users", people=PEOPLE)]
    assert kind == "email", f"no made-up people are known by {kind}"
    known = [row["email"].lower() for row in load_everything.rows("people", people=PEOPLE)]
    members = [row["email"].lower() for row in load_everything.rows("members", people=PEOPLE) if row["status"] == "subscribed"]
    return [address for address in known if address in set(members)]
