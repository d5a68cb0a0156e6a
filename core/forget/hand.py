"""What is left for a person to do by hand: where nobody was asked, or the answer was no, and where to do it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from core.contract import Category
from core.forget.erase import ASKED
from core.forget.mentions import mentions
from core.hub import Hub
from core.store import Store
from core.store.traces import Traces, had_before

_HAD_BEFORE: Final = "profile:{0} had this address before; `tagalong forget profile:{0}`, if they are meant"
Steps = Mapping[tuple[str, str, str], Mapping[str, Any]]


def by_hand_of(
    hub: Hub, store: Store, traces: Traces, taken: Steps, *, everywhere: bool, refused: Collection[str]
) -> list[dict[str, Any]]:
    """
    Return what is left, by connection (None: here), what and where.

    A connection that was pulled to its end and has nothing of the person is not among them.
    """
    found = []
    for (step, of, what), result in taken.items():
        if step == "remove" and result["did"] == "by_hand":
            found.append(_line(hub, of, f"take them out of the {what}: {result['reason']}"))
    for name, connection in hub.config.connections.items():
        erased = taken.get(("erase", name, ""))
        if erased is not None and erased["did"] != "refused":
            continue
        connector = hub.connector(name)
        asked = connector.erase is not None and (connector.manifest.category in ASKED or everywhere)
        if asked and connection.enabled and name not in refused and erased is None:
            continue  # yet to be asked
        if name in traces.connections or not _whole(store, name):
            found.append(_line(hub, name, _what(hub, traces, name, refused=erased is not None, let_go=name in refused)))
    gone = sorted(traces.connections - hub.config.connections.keys())
    found += [_line(hub, name, "they were known there, and it is no longer in the config") for name in gone]
    found += [_here(_HAD_BEFORE.format(id_)) for id_ in had_before(store.conn, traces)]
    named = mentions(hub.config.folder, [value for kind, value in traces.known_by if kind == "email"])
    told = {slice_ for _, slice_ in traces.slices}  # input files, told of with their connection
    named = [name for name in named if name not in told]
    if named:
        found.append(_here(f"files in the config's folder name them: {', '.join(named)}"))
    return found


def _what(hub: Hub, traces: Traces, name: str, *, refused: bool, let_go: bool) -> str:
    connector = hub.connector(name)
    slices = [slice_ for owner, slice_ in traces.slices if owner == name]
    records: dict[str, int] = {}
    for owner, stream, _, _ in traces.records:
        if owner == name:
            records[stream] = records.get(stream, 0) + 1
    there = ", ".join(f"{stream} ({n})" for stream, n in sorted(records.items()))
    if connector.manifest.category is Category.FILE and slices:
        return f"take their rows out of {', '.join(slices)}"
    how = connector.erasure.by_hand if connector.erasure is not None else ""
    told = f"{'it refused; ' if refused else ''}erase what {connector.manifest.title} has of them"
    told += f": {there}" if there else ", if it has anything"
    if how:
        told += f"; {how}"
    heavy = connector.erase is not None and connector.manifest.category not in ASKED
    return told + ("; or let `--everywhere` ask" if heavy and not (refused or let_go) else "")


def _whole(store: Store, connection: str) -> bool:
    """Return whether everything that a connection has was read, so that nobody is there whom we do not know of."""
    row = store.conn.execute(
        "SELECT count(*), sum(s.completed_at IS NULL) FROM streams s JOIN connections c ON c.id = s.connection_id "
        "WHERE c.name = ? AND s.removed_at IS NULL",
        (connection,),
    ).fetchone()
    return bool(row[0]) and not row[1]


def _here(what: str) -> dict[str, Any]:
    return {"connection": None, "vendor": None, "what": what, "docs_url": None}


def _line(hub: Hub, name: str, what: str) -> dict[str, Any]:
    if name not in hub.config.connections:
        return {"connection": name, "vendor": None, "what": what, "docs_url": None}
    connector = hub.connector(name)
    docs_url = connector.erasure.docs_url if connector.erasure is not None else connector.manifest.docs_url
    return {"connection": name, "vendor": connector.manifest.title, "what": what, "docs_url": docs_url}
