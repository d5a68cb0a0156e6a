"""
Which remote audience a sync fills: found or taken over here, made by `core.pushing.push`, and never changed behind a person's
back.

The ledger belongs to the audience. A renamed sync takes it over; a sync that names another audience is held until a person says
so; two syncs never share one. Before the first write to an audience that we did not make, its members are read
(`core.pushing.foreign`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import Final

from pyroaring import BitMap

from core.clock import to_us
from core.contract import Api
from core.contract.audiences import PLURAL
from core.errors import ConfigError, LeaseLost, Problem
from core.planning import guards
from core.planning.guards import Held
from core.pushing import making
from core.pushing.targets import Target, same_target, spoken
from core.store import Store, audiences, holds, intents, leases, ledger
from core.store.audiences import AudienceRow

UNREADABLE: Final = "its members cannot be read and we did not make it: people are added and never removed"


@dataclass(frozen=True, slots=True)
class Bound:
    """The audience of a target, as far as there is one."""

    row: AudienceRow | None
    """None: to be made."""
    _: KW_ONLY
    account: str
    add_only: bool = False
    """Whatever the config says: its members cannot be read, and we did not make it."""
    held: Held | None = None
    notes: tuple[str, ...] = ()


def bind(store: Store, target: Target, *, account: str, api: Callable[[], Api], labels: Collection[str], at: datetime) -> Bound:
    """
    Return the audience of *target*; asks the vendor only where the store does not know it, and makes nothing there.

    *labels* are those of every sync in the config: an audience bound to another of them is taken.

    Raises:
        ConfigError: the audience is another sync's, or a file that we did not write.
        LeaseLost: a run under an earlier name of the sync is filling it.
    """
    current, held = _current(store.conn, target, account)
    if current is not None and held is None:
        if current.target != target.target:
            with store.atomic() as conn:
                audiences.rebind(conn, current.id, label=target.label, target=target.target, name=target.name)
        return _bound(store.conn, target, current, account)
    if held is not None:
        # the plan shows what would be sent to the new one, and binds nothing
        remote_id = target.audience.lookup(api(), target.name)
        if current is not None and (current.connection, current.remote_id) == (target.connection, remote_id):
            return _take(store, target, current.remote_id, account=account, labels=labels, at=at)  # the vendor renamed it along
        return Bound(_known(store.conn, target, account, remote_id), account=account, held=held)
    orphan = audiences.by_target(store.conn, connection=target.connection, account=account, target=target.target)
    if orphan is not None and orphan.label in labels:
        orphan = None
    remote_id = orphan.remote_id if orphan else target.audience.lookup(api(), target.name)
    if remote_id is None:
        return Bound(None, account=account)
    return _take(store, target, remote_id, account=account, labels=labels, at=at)


def _current(conn: sqlite3.Connection, target: Target, account: str) -> tuple[AudienceRow | None, Held | None]:
    """Return what the target is bound to, and the hold on it where the config names another by now."""
    rows = [
        row for row in audiences.bound_to(conn, target.label) if row.connection != target.connection or row.account == account
    ]
    if not rows:
        return None, None
    row = rows[0]
    if holds.approved_text(conn, target.label, guards.HeldKind.GONE, row.remote_id):
        return None, None
    if row.connection == target.connection and same_target(row.target, row.name, target):
        return row, None
    approved = holds.approved_text(conn, target.label, guards.HeldKind.RETARGET, target.target)
    if approved or not intents.any_written(conn, row.id):  # where nothing was ever sent, there is nothing to be careful about
        return None, None
    before, now = spoken(str(row.target), row.name), spoken(target.target, target.name)
    return row, guards.retarget(before, now, sync=target.sync.name, approved=False)


def _known(conn: sqlite3.Connection, target: Target, account: str, remote_id: str | None) -> AudienceRow | None:
    if remote_id is None:
        return None
    return audiences.by_remote_id(conn, connection=target.connection, account=account, remote_id=remote_id)


def _take(store: Store, target: Target, remote_id: str, *, account: str, labels: Collection[str], at: datetime) -> Bound:
    with store.atomic() as conn:
        row = _known(conn, target, account, remote_id)
        notes: tuple[str, ...] = ()
        if row is None:
            if target.audience.whole and not making.being_made(conn, target, account):
                remedy = "move it away, or name another"
                key = f"syncs.{target.sync.name}.audience"
                raise ConfigError(Problem(f"{target.name} is there already and was not written by us", key=key, remedy=remedy))
            audience_id = insert_new(conn, target, remote_id, account=account, at=to_us(at))
        else:
            if row.label in labels and row.label != target.label:
                taken = f"{spoken(target.target, target.name)} is the audience of the sync {row.label} already"
                key = f"syncs.{target.sync.name}.audience"
                raise ConfigError(
                    Problem(taken, key=key, remedy="two syncs on one audience would undo each other; name another")
                )
            if row.of != target.audience.of:
                said = f"{target.name} was filled with {PLURAL[row.of]}, and {target.label} is of {PLURAL[target.audience.of]}"
                raise ConfigError(Problem(said, key=f"syncs.{target.sync.name}.audience", remedy="name another"))
            _refuse_filled(conn, target, row, at)
            _release(conn, target, keep=row.id)
            audiences.rebind(conn, row.id, label=target.label, target=target.target, name=target.name)
            audience_id = row.id
            if row.label != target.label:
                notes = (f"takes over what {row.label or 'an earlier sync'} put there",)
        bound = audiences.audience(conn, audience_id)
    return _bound(store.conn, target, bound, account, notes)


def _refuse_filled(conn: sqlite3.Connection, target: Target, row: AudienceRow, at: datetime) -> None:
    """
    Take nothing over that is being filled: a run under the sync's old name goes on by the config that it began with.

    Its lease has another name than ours, and what it has under way would be taken for what a crash left open.
    """
    before = (row.label or "").partition(".")[0]
    if before not in ("", target.sync.name) and leases.is_held(conn, f"sync.{before}", lambda: at):
        there = spoken(target.target, target.name)
        raise LeaseLost(
            f"sync.{before}: is still filling {there}, which {target.sync.name} is to take over; wait for it to end"
        )


def insert_new(conn: sqlite3.Connection, target: Target, remote_id: str, *, account: str, at: int) -> int:
    """
    Bind *target* to a remote audience that was never bound before; what it was bound to is let go.

    It is ours if we were about to make it, and so is whom it was made with: what is "so already" of that one is our own doing.
    """
    _release(conn, target, keep=None)
    holds.end_text(conn, target.label, guards.HeldKind.GONE)  # who deletes this one is asked about again
    audiences.set_aside(conn, connection=target.connection, account=account, remote_id=remote_id)
    made_by_us = making.being_made(conn, target, account)
    seed = making.forget_making(conn, target, account)
    audience_id = audiences.insert(
        conn,
        connection=target.connection,
        account=account,
        kind=target.sync.audience_kind,
        name=target.name,
        remote_id=remote_id,
        label=target.label,
        target=target.target,
        made_by_us=made_by_us,
        of=target.audience.of,
    )
    if seed is not None:
        touched = ledger.put(conn, audience_id, [seed], sync=target.label, run_id=None, at=at)
        audiences.refresh(conn, audience_id, touched, waiting=BitMap(), settled=BitMap())
    return audience_id


def _release(conn: sqlite3.Connection, target: Target, *, keep: int | None) -> None:
    for row in audiences.bound_to(conn, target.label):
        if row.id != keep:
            audiences.rebind(conn, row.id, label=None)


def _bound(conn: sqlite3.Connection, target: Target, row: AudienceRow, account: str, notes: tuple[str, ...] = ()) -> Bound:
    row = audiences.audience(conn, row.id)
    shut = not row.made_by_us and row.foreign_read_at is None and intents.any_written(conn, row.id)
    if shut and target.sync.mode == "mirror":
        notes = (*notes, UNREADABLE)
    return Bound(row, account=account, add_only=shut, held=unreadable(target) if shut else None, notes=notes)


def bound_already(conn: sqlite3.Connection, target: Target, row: AudienceRow) -> Bound:
    """Return an audience that *target* was made for, as it stands; asks nobody."""
    return _bound(conn, target, row, row.account)


def unreadable(target: Target) -> Held | None:
    """Return the hold on an audience whose members cannot be read, where who was there before us is to be adopted."""
    sync = target.sync
    return None if sync.baseline == "ignore" else guards.unreadable(sync.baseline, sync=sync.name)
