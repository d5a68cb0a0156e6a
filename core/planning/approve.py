"""
What a person lets through: the members that a sync holds, words that no pull has shown, another audience, a source as it is.

An approval is of what was shown and no more: members for 24 hours as far as they still hold, a source for 7 days, a text
until it is another.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from pyroaring import BitMap

from core.clock import to_us
from core.config.names import suggest
from core.errors import ConfigError, Problem
from core.hub import Hub
from core.planning.guards import HeldKind, sources_held
from core.pulling.fill import OnEvent, resolve_now
from core.pulling.freshness import source_states
from core.run import SyncReport, plan, sync
from core.store import Store, holds, leases
from core.store.holds import Hold
from core.store.vanish import approve_stream

MEMBERS = frozenset(
    {
        HeldKind.REMOVALS,
        HeldKind.ADDS,
        HeldKind.MOVES,
        HeldKind.BASELINE,
        HeldKind.REPLACE,
        HeldKind.RETARGET,
        HeldKind.UNSEEN,
    }
)
TEXTS = frozenset({HeldKind.RETARGET, HeldKind.UNSEEN, HeldKind.GONE, HeldKind.RESTORED, HeldKind.REPLACE})


@dataclass(frozen=True, slots=True)
class Approval:
    """What was let through."""

    target: str
    _: KW_ONLY
    holds: tuple[Hold, ...] = ()
    adds: int = 0
    removes: int = 0
    deleted: int = 0
    """Rows of a stream that were deleted."""
    report: SyncReport | None = None
    """Of the sync that sent them."""


def approve(hub: Hub, target: str, *, send: bool = True, on_event: OnEvent | None = None) -> Approval:
    """
    Let through what is held of *target*: a sync, or `CONNECTION.STREAM`.

    What a sync holds is sent now, or with *send* False by later runs, as far as it still holds. A stream's vanished rows are
    deleted; a failed or stale one is let be for 7 days.

    Raises:
        ConfigError: there is no such thing, or nothing of it is held that can be approved.
        LeaseLost: the connection of that stream is just being pulled.
    """
    with hub.store() as store:
        hub.register(store)
        if "." in target:
            return _approve_stream(hub, store, target)
        if target not in hub.config.syncs:
            raise _unknown("sync", target, suggest(target, hub.config.syncs))
        held = holds.holds(store.conn, sync=target)
    if not held:
        plan(hub, names=[target])
        with hub.store() as store:
            held = holds.holds(store.conn, sync=target)
    approval = _approve_members(hub, target, held)
    if not send:
        return approval
    report = sync(hub, names=[target], pull=False, trigger="approve", on_event=on_event)
    return Approval(target, holds=approval.holds, adds=approval.adds, removes=approval.removes, report=report)


def _approve_members(hub: Hub, target: str, held: list[Hold]) -> Approval:
    ours = [hold for hold in held if hold.kind in MEMBERS | TEXTS]
    if not ours:
        raise _nothing(target, held)
    at = to_us(hub.clock())
    adds, removes = 0, 0
    with hub.store() as store, store.atomic() as conn:
        for label in dict.fromkeys(hold.target for hold in ours):
            of_label = [hold for hold in ours if hold.target == label]
            shown = [hold for hold in of_label if hold.kind in MEMBERS]
            put_in, taken_out = _union(hold.adds for hold in shown), _union(hold.removes for hold in shown)
            holds.approve_members(conn, label, put_in, taken_out, at=at)
            adds += len(put_in)
            removes += len(taken_out) + sum(int(hold.facts.get("strangers", 0)) for hold in shown)
            for hold in of_label:
                if hold.kind in TEXTS and hold.definition is not None:
                    holds.approve_text(conn, label, hold.kind, hold.definition, at=at)
    return Approval(target, holds=tuple(ours), adds=adds, removes=removes)


def _union(bitmaps: object) -> BitMap:
    return BitMap().union(*bitmaps)  # type: ignore[misc]  # an iterable of bitmaps; pyroaring has no types


def _nothing(target: str, held: list[Hold]) -> ConfigError:
    if not held:
        return ConfigError(Problem(f"nothing of {target} is held"))
    streams = sorted({stream for hold in held for stream in hold.facts.get("approve", ()) if "." in stream})
    reasons = "; ".join(hold.reason for hold in held)
    if all(hold.kind == HeldKind.UNREADABLE for hold in held):
        return ConfigError(Problem(f"{target} is held: {reasons}", remedy="what nobody can know cannot be approved"))
    remedy = " and ".join(f"tagalong approve {stream}" for stream in streams) or "pull the source to its end first"
    return ConfigError(Problem(f"{target} is held for its sources: {reasons}", remedy=remedy))


def _unknown(what: str, target: str, instead: str) -> ConfigError:
    return ConfigError(Problem(f"there is no {what} {target!r}; {instead}", remedy="`tagalong status` lists what is held"))


def _instead(hub: Hub, store: Store, target: str) -> str:
    """Return what to name instead of a stream that is not there; a group is let through with its whole sync."""
    name = target.partition(".")[0]
    if name in hub.config.syncs:
        return f"what a sync holds is let through whole: `tagalong approve {name}`"
    streams = store.conn.execute("SELECT c.name || '.' || s.name FROM streams s JOIN connections c ON c.id = s.connection_id")
    return suggest(target, [name for (name,) in streams])


def _approve_stream(hub: Hub, store: Store, target: str) -> Approval:
    connection, _, stream = target.partition(".")
    row = store.conn.execute(
        "SELECT s.completed_at FROM streams s JOIN connections c ON c.id = s.connection_id WHERE c.name = ? AND s.name = ?",
        (connection, stream),
    ).fetchone()
    if row is None:
        raise _unknown("stream", target, _instead(hub, store, target))
    if row[0] is None:
        raise ConfigError(Problem(f"{target} has never been pulled to its end", remedy=f"tagalong pull {connection}"))
    at = hub.clock()
    # what a pull under way has collected so far nobody was shown, and it may yet bring some of it again
    with leases.hold(hub.path, f"connection.{connection}", hub.clock):
        (state,) = source_states(store.conn, [target], config=hub.config, now=at)
        if not (sources_held([state], at) or state.vanished or state.vanished_held):
            raise _nothing(target, [])  # said beforehand, it would let a failure of tomorrow through
        with store.atomic() as conn:
            holds.approve_source(conn, target, at=to_us(at))
        deleted = approve_stream(store, connection, stream, at)
    resolve_now(hub, store)
    return Approval(target, deleted=deleted)
