"""
`baseline`: what becomes of the members who were in an audience before our first write, once.

`ignore` leaves them foreign. `adopt` makes those who are wanted ours, so that they are removed when they leave. `replace` also
takes out who is not wanted, strangers too, when a person has approved just those. It is done with the first write under that
setting, and done again where the config says another by then; whoever is put there by hand later stays foreign, and nobody who
was adopted is ever given back.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Final

from pyroaring import BitMap

from core.clock import MICROSECOND, Clock, to_us
from core.contract import Audience
from core.planning.guards import Held, HeldKind, replaces
from core.pushing import reach
from core.store import Store, audiences, holds, ledger, succession
from core.store.audiences import AudienceRow, Standing
from core.store.leases import Lease
from core.store.ledger import State

IGNORE: Final = "ignore"
REPLACE: Final = "replace"
PART: Final = 5_000


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a plan does about who was there before us; with `replace`, all of it waits until a person approved some."""

    mode: str
    _: KW_ONLY
    adopts: BitMap
    """Foreign and wanted."""
    leaves: BitMap = field(default_factory=BitMap)
    """Foreign and not wanted, whom a person let through to be removed."""
    waits: BitMap = field(default_factory=BitMap)
    """Foreign and not wanted, all others."""
    strangers: int = 0
    """Foreign, and nobody we know."""
    digest: str = ""
    """Tells these strangers from any others."""
    through: bool = True
    """Whether a person let just these strangers through."""
    partly: bool = False
    """Made less of: what is left out waits for the next sync."""

    @property
    def goes(self) -> bool:
        """Whether anything is done at all."""
        return self.mode != REPLACE or (self.through and (bool(self.leaves) or not self.waits))

    @property
    def adopted(self) -> BitMap:
        """Who becomes ours and stays: nothing is sent."""
        return self.adopts if self.goes else BitMap()

    @property
    def leaving(self) -> BitMap:
        """Who becomes ours and is removed."""
        return self.leaves if self.goes else BitMap()

    @property
    def waiting(self) -> BitMap:
        """Whose removal is held."""
        return self.waits if self.goes else self.leaves | self.waits

    @property
    def taken_out(self) -> int:
        """Strangers who are removed."""
        return self.strangers if self.goes else 0

    @property
    def complete(self) -> bool:
        """Whether nothing of it is left to be done."""
        return self.goes and not self.waits and not self.partly

    def hold(self, sync: str) -> Held | None:
        """Return what is held of it until somebody approves."""
        if self.goes and not self.waits:
            return None
        return replaces(len(self.waiting), self.strangers - self.taken_out, sync=sync)

    def alone(self, removes: BitMap) -> Baseline:
        """Return it for those of *removes* alone; all else is left to the next sync."""
        return Baseline(self.mode, adopts=BitMap(), leaves=self.leaving & removes, partly=True)


def due(conn: sqlite3.Connection, row: AudienceRow | None, wished: str) -> bool:
    """Return whether the config asks for something else than was done last; of an audience yet to be made, for anything."""
    return wished != (IGNORE if row is None else _done(conn, row.id) or IGNORE)


def _done(conn: sqlite3.Connection, audience_id: int) -> str | None:
    found = conn.execute("SELECT value FROM settings WHERE key = ?", (_setting(audience_id),)).fetchone()
    return None if found is None else str(found[0])


def _setting(audience_id: int) -> str:
    return f"baseline\x1f{audience_id}"


def find(
    conn: sqlite3.Connection,
    row: AudienceRow | None,
    mode: str,
    *,
    label: str,
    stands: Standing,
    wanted: BitMap,
    resting: BitMap,
    claimed: Mapping[str, int],
    at: int,
) -> Baseline:
    """
    Return what is to become of the foreign members of an audience.

    *claimed* are those who turned out to be somebody wanted in this very plan, by key; *resting* waits for its next try.
    """
    theirs = (stands.theirs - stands.waiting) | BitMap(claimed.values())
    adopts = BitMap() if mode == IGNORE else theirs & wanted
    if mode != REPLACE or row is None:
        return Baseline(mode, adopts=adopts)
    unwanted = theirs - wanted - resting
    leaves = unwanted & holds.approved_members(conn, label, at=at).removes
    strangers, digest = _strangers(conn, row.id, claimed)
    # people, though nobody we know: let through for as long as those whom we do
    since = at - holds.MEMBERS_FOR // MICROSECOND
    through = not strangers or holds.approved_text(conn, label, HeldKind.REPLACE, digest, since=since)
    return Baseline(
        mode, adopts=adopts, leaves=leaves, waits=unwanted - leaves, strangers=strangers, digest=digest, through=through
    )


def _strangers(conn: sqlite3.Connection, audience_id: int, claimed: Collection[str]) -> tuple[int, str]:
    number, text = 0, hashlib.sha256()
    for (key,) in conn.execute(
        "SELECT member_key FROM ledger INDEXED BY ledger_profile WHERE audience_id = ? AND profile_id IS NULL"
        " AND state = 'foreign' ORDER BY member_key",
        (audience_id,),
    ):
        if key not in claimed:
            number += 1
            text.update(f"{key}\x1f".encode())
    return number, text.hexdigest()


def nameless(conn: sqlite3.Connection, audience_id: int, *, at: int) -> int:
    """Return how many members are ours whom nobody knows: strangers adopted by a `replace` that did not come to its end."""
    # where nothing was ever adopted there are none, and a million foreign rows need not be looked through
    return 0 if _done(conn, audience_id) is None else ledger.count_nameless(conn, audience_id, at=at)


def carry_out(store: Store, row: AudienceRow, audience: Audience, baseline: Baseline, *, lease: Lease, clock: Clock) -> None:
    """Make members ours, before anything is sent; who is to leave is then removed like anybody of ours."""
    kind = reach.identifier_kind(audience, row.connection)
    for part in _parts(baseline.adopted | baseline.leaving):
        with store.atomic() as conn:
            lease.check(conn)
            touched = _adopt(conn, row.id, part, kind)
            audiences.refresh(conn, row.id, touched, waiting=BitMap(), settled=BitMap())
    with store.atomic() as conn:
        lease.check(conn)
        if baseline.taken_out:
            conn.execute(
                "UPDATE ledger INDEXED BY ledger_profile SET state = 'ours', at = ?"
                " WHERE audience_id = ? AND profile_id IS NULL AND state = 'foreign'",
                (to_us(clock()), row.id),
            )
        if baseline.complete:
            conn.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (_setting(row.id), baseline.mode))


def _adopt(conn: sqlite3.Connection, audience_id: int, profiles: BitMap, kind: str) -> BitMap:
    """Make the foreign rows of *profiles* ours, under the keys that these people have."""
    rows = ledger.of_profiles(conn, audience_id, profiles)
    keys = reach.keys_of(conn, profiles, kind)
    taken = ledger.of_keys(conn, audience_id, keys.values())
    adopted = []
    for profile_id, entries in rows.items():
        for entry in (e for e in entries if e.state is State.FOREIGN):
            key = keys.get(profile_id, entry.member_key)
            free = key not in taken or taken[key].state not in (*ledger.OURS, State.FOREIGN)
            if key != entry.member_key and free:
                succession.rename(conn, audience_id, entry.member_key, replace(entry, member_key=key))
                taken[key] = replace(entry, state=State.OURS)
                adopted.append(key)
            else:
                adopted.append(entry.member_key)
    return ledger.set_state(conn, audience_id, adopted, State.OURS)


def _parts(profiles: BitMap) -> Iterator[BitMap]:
    for start in range(0, len(profiles), PART):
        yield BitMap(profiles[start : start + PART])
