"""What the contract suite knows of every connector: its sandbox with people in it, its streams, its audiences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from core.contract import Sandbox, pick
from core.registry import connector_names, load_connector
from support.world import load_everything

NAMES = connector_names()
ONLINE = [name for name in NAMES if load_connector(name).manifest.hosts]
"""Those that speak HTTP."""
SOURCES = [name for name in ONLINE if {"STREAMS", "streams"} & vars(load_connector(name).module).keys()]
DESTINATIONS = [name for name in ONLINE if load_connector(name).audiences]
NOW = datetime(2026, 3, 2, 11, tzinfo=UTC)
PEOPLE = 130


def sandbox_of(name: str) -> Sandbox:
    """Return the sandbox of *name* with some hundred people in it."""
    sandbox = load_connector(name).sandbox(now=lambda: NOW, rate_factor=1000)
    load_everything(sandbox, people=PEOPLE)
    return sandbox


def streams_of(name: str, api: Any) -> dict[str, Any]:
    """Return the streams of *name* by their names."""
    return dict(load_connector(name).streams(api.settings))


def pull_all(api: Any, stream: Any) -> dict[str, Any]:
    """Return every record of a full pull by key."""
    slices = [()] if stream.slices is None else [(slice_,) for slice_ in stream.slices(api)]
    pages = itertools.chain.from_iterable(stream.pull(api, None, None, *slice_) for slice_ in slices)
    return {str(pick(record, stream.key)): record for page in pages for record in page.records}


def audiences_of(name: str, api: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Yield each audience of *name* with eight people whom the destination knows."""
    connector = load_connector(name)
    what = "people" if connector.manifest.category == "crm" else "members"
    keys = [row["email"].lower() for row in load_everything.rows(what, people=PEOPLE)][:40]
    for cls in connector.audiences.values():
        audience = cls(cls.Params())
        found = audience.find(api, keys[: audience.find_batch])
        yield audience, [refs[0] for refs in found.values() if len(refs) == 1][:8]
