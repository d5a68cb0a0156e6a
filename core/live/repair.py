"""
`tagalong drift`, and what it mends when a person says `--repair`: the ledger alone, so that the next sync does the rest.

Who of ours is missing and still wanted is put in again by the next sync like anybody new, through consent and guards; who is
not wanted is forgotten. Whoever was found there by another's hand is foreign from now on: never ours, never removed. The daemon
repairs nothing: somebody may have been taken out by hand on purpose, and only a person can know.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace

from pyroaring import BitMap

from core.clock import to_us
from core.config.model import SyncConfig
from core.errors import LeaseLost, Stopped, told
from core.hub import Hub
from core.live import drift as drifts
from core.live.drift import Comparing, Drift, Repaired, What
from core.log import log
from core.pulling.fill import resolve_now
from core.pushing import targets
from core.run import chosen_syncs
from core.segments.evaluate import evaluate
from core.segments.indexes import ensure_indexes
from core.store import Store, audiences, leases, ledger, pauses, runs
from core.store.leases import Lease
from core.store.ledger import State
from core.store.runs import Status

Sure = Callable[[Drift], bool]
"""Asked before a repair by a reading that is doubted."""


def drift(
    hub: Hub,
    store: Store,
    *,
    names: Iterable[str] = (),
    repair: bool = False,
    sure: Sure = lambda _: True,
    on_page: Callable[[str, int], None] | None = None,
    on_sync: Callable[[], None] | None = None,
) -> list[Drift]:
    """
    Compare the audiences of the syncs *names*, of all enabled ones if empty, with their ledgers; with *repair*, mend these.

    Who differs can be read from *store* as long as it is open (`core.store.live.differences`).
    """
    hub.register(store)
    chosen = chosen_syncs(hub, names)
    now = resolve_now(hub, store)
    definitions = hub.definitions(store)
    ensure_indexes(store, definitions)
    evaluation = evaluate(store, definitions, as_of=now)
    found: list[Drift] = []
    with hub.session() as session:
        comparing = Comparing(session, store, definitions, evaluation, on_page=on_page)
        for one in chosen:
            found += _one_sync(comparing, one, sure if repair else None)
            if on_sync is not None:
                on_sync()
    return found


def _one_sync(comparing: Comparing, sync: SyncConfig, sure: Sure | None) -> list[Drift]:
    """Compare one sync in a run of its own; to be repaired, under its lease: nothing is sent meanwhile."""
    hub, store = comparing.session.hub, comparing.store
    run_id = runs.start_run(store, "drift", sync.name, at=hub.clock())
    error: Exception | None = None
    found: list[Drift] = []
    try:
        pauses.refuse_paused(store.conn, f"connection.{sync.to}")
        with ExitStack() as stack:
            lease = None if sure is None else stack.enter_context(leases.hold(hub.path, f"sync.{sync.name}", hub.clock))
            found = drifts.compare(comparing, sync)
            if lease is not None and sure is not None:
                found = [_mended(comparing, one, lease, sure) for one in found]
    except (LeaseLost, Stopped) as caught:
        if hub.stop.is_set():
            error = caught
            raise
        # a sync is at it, or its connection is paused: the others go on
        aimed = targets.targets_of(sync, comparing.definitions.config, hub.connector(sync.to))
        found = [Drift(target, None, as_of=hub.clock(), error=caught) for target in aimed]
    except Exception as caught:
        error = caught
        raise
    finally:
        first = error or next((one.error for one in found if one.error is not None), None)
        runs.finish_run(
            store,
            run_id,
            Status.DONE if first is None else Status.FAILED,
            at=hub.clock(),
            summary={one.label: _summary(one) for one in found},
            error=None if first is None else told(first),
            requests=comparing.session.taken(),
        )
    log.info("drift_read", sync=sync.name, drifted=any(one.drifted for one in found))
    return found


def _summary(one: Drift) -> dict[str, object]:
    repaired = one.repaired
    return {
        **{str(what): one.count(what) for what in What},
        "repaired": None if repaired is None else {name: getattr(repaired, name) for name in repaired.__slots__},
    }


def _mended(comparing: Comparing, one: Drift, lease: Lease, sure: Sure) -> Drift:
    if one.row is None or one.error is not None or not one.drifted or (one.doubtful and not sure(one)):
        return one
    wanted = comparing.evaluation.sets.get(one.target.set_name)
    if one.target.set_name in comparing.evaluation.failed:
        wanted = None
    with comparing.store.atomic() as conn:
        lease.check(conn)
        repaired = _mend(conn, one, wanted, at=to_us(comparing.session.hub.clock()))
    return replace(one, repaired=repaired)


def _mend(conn: sqlite3.Connection, one: Drift, wanted: BitMap | None, *, at: int) -> Repaired:
    """Write the ledger of one audience by the differences found, as far as its rows are still what they were then."""
    id_ = one.row.id if one.row else -1
    still = "audience_id = ?1 AND member_key IN (SELECT member_key FROM temp.drifted WHERE audience_id = ?1 AND what = "
    forgotten = _changed(
        conn, f"DELETE FROM ledger WHERE state = 'ours' AND {still}'missing' AND wanted = 0) RETURNING profile_id", id_
    )
    to_add = _changed(
        conn,
        f"UPDATE ledger SET state = 'missing' WHERE state = 'ours' AND {still}'missing' AND wanted IS NOT 0)"
        " RETURNING profile_id",
        id_,
    )
    dropped = _changed(conn, f"DELETE FROM ledger WHERE state = 'foreign' AND {still}'gone') RETURNING profile_id", id_)
    # somebody who was missing, and is there again by another's hand, is theirs
    back = _changed(
        conn,
        "DELETE FROM ledger INDEXED BY ledger_state WHERE audience_id = ?1 AND state = 'missing' AND remote_id IN"
        " (SELECT remote_id FROM temp.drifted WHERE audience_id = ?1 AND what IN ('extra', 'unknown')) RETURNING profile_id",
        id_,
    )
    stored = _changed(
        conn,
        "INSERT OR IGNORE INTO ledger (audience_id, member_key, profile_id, sync, remote_id, handle, object, state, at)"
        " SELECT ?1, d.member_key, d.profile_id, ?2, d.remote_id, d.handle, d.object, 'foreign', ?3 FROM temp.drifted d"
        " WHERE d.audience_id = ?1 AND d.what IN ('extra', 'unknown') AND NOT EXISTS"
        " (SELECT 1 FROM ledger l INDEXED BY ledger_remote WHERE l.audience_id = ?1 AND l.remote_id = d.remote_id"
        " AND l.state IN ('ours', 'unsure', 'foreign'))"
        " RETURNING profile_id",
        id_,
        one.label,
        at,
    )
    touched = BitMap().union(*(profiles for profiles, _ in (forgotten, to_add, dropped, back, stored)))
    audiences.refresh(conn, id_, touched, waiting=BitMap(), settled=BitMap())
    if wanted is not None:
        _tidy(conn, id_, wanted)
    return Repaired(to_add=to_add[1], forgotten=forgotten[1], stored=stored[1], dropped=dropped[1])


def _changed(conn: sqlite3.Connection, statement: str, *values: object) -> tuple[BitMap, int]:
    """Return whose rows a statement changed, and how many rows."""
    profiles, number = BitMap(), 0
    for (profile_id,) in conn.execute(statement, values):
        number += 1
        if profile_id is not None:
            profiles.add(profile_id)
    return profiles, number


def _tidy(conn: sqlite3.Connection, audience_id: int, wanted: BitMap) -> None:
    """Forget who was missing since an earlier repair and is not wanted any more, or is there under another key."""
    missing = ledger.in_state(conn, audience_id, State.MISSING)
    over = (missing - wanted) | (missing & audiences.standing(conn, audience_id).owned)
    rows = ledger.of_profiles(conn, audience_id, over)
    ledger.drop(conn, audience_id, [e.member_key for entries in rows.values() for e in entries if e.state is State.MISSING])
