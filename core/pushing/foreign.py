"""
The members who were there before us: read before the first write to an audience that we did not make, and foreign from then on.

Foreign members stay, whatever the segment says of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from datetime import datetime

from pyroaring import BitMap

from core.clock import to_us
from core.contract import Api, Ref, Unsupported
from core.pushing import reach
from core.pushing.bind import UNREADABLE, Bound, unreadable
from core.pushing.targets import Target
from core.store import Store, audiences, intents, ledger
from core.store.audiences import COMPANY, AudienceRow
from core.store.forgotten import Forgotten
from core.store.ledger import Entry, State


def read_foreign(store: Store, target: Target, bound: Bound, *, api: Callable[[], Api], at: datetime, leased: bool) -> Bound:
    """
    Read who is in an audience that we did not make, as long as nothing was ever sent to it; they are foreign, and stay so.

    Where the vendor cannot tell, the audience is add-only for us from now on. What an earlier reading has left is dropped by
    who is *leased* alone: a plan beside a sync would drop what that one is just reading.
    """
    row = bound.row
    if row is None or row.made_by_us or target.audience.whole or intents.any_written(store.conn, row.id):
        return bound
    pages = target.audience.members(api(), row.remote_id)
    if isinstance(pages, Unsupported):
        held = bound.held or unreadable(target)
        return Bound(row, account=bound.account, add_only=True, held=held, notes=(*bound.notes, UNREADABLE))
    if leased:
        with store.atomic() as conn:
            known = [entry.member_key for entry in ledger.rows(conn, row.id) if entry.state is State.FOREIGN]
            _store_foreign(conn, row, ledger.drop(conn, row.id, known))
    for page in pages:
        with store.atomic() as conn:
            if intents.any_written(conn, row.id):  # another process began to send: what we read may be its work
                break
            _store_page(store, target, row, page, at)
    with store.atomic() as conn:
        audiences.set_foreign_read(conn, row.id, to_us(at))
        fresh = audiences.audience(conn, row.id)
    return Bound(fresh, account=bound.account, held=bound.held, notes=bound.notes)


def _store_page(store: Store, target: Target, row: AudienceRow, page: Collection[Ref], at: datetime) -> None:
    conn = store.conn
    kind = reach.identifier_kind(target.audience, target.connection)
    stream_id = reach.own_stream(conn, target.audience, target.connection)
    page = _without_ours(conn, row, without_forgotten(store, target, page))
    profiles = reach.profiles_of_refs(conn, stream_id, [ref.remote_id for ref in page], kind)
    entries = [
        Entry(
            f"{ledger.REMOTE_PREFIX}{ref.remote_id}",
            State.FOREIGN,
            profile_id=profiles.get(ref.remote_id),
            remote_id=ref.remote_id,
            handle=ref.handle,
            object=ref.object,
        )
        for ref in page
    ]
    _store_foreign(conn, row, ledger.put(conn, row.id, entries, sync=target.label, run_id=None, at=to_us(at)))


def _without_ours(conn: sqlite3.Connection, row: AudienceRow, page: Collection[Ref]) -> Collection[Ref]:
    """Return who of a page is not ours: whoever was adopted is, though nothing was ever sent."""
    there = ledger.of_remote_ids(conn, row.id, {ref.remote_id for ref in page})
    return [ref for ref in page if not any(entry.state in ledger.OURS for entry in there.get(ref.remote_id, ()))]


def without_forgotten(store: Store, target: Target, page: Collection[Ref]) -> Collection[Ref]:
    """Return who of a page was not forgotten: those are unknown like anybody we know nothing of, and not to be known again."""
    forgotten = Forgotten(store.conn, store.path)
    if target.audience.of == COMPANY or not forgotten:
        return page  # the object of a company may have the number that somebody's had
    kind, of = reach.identifier_kind(target.audience, target.connection), target.connection
    return [
        ref
        for ref in page
        if not (
            forgotten.has_remote(of, ref.remote_id)
            or forgotten.has_record(of, target.audience.ids_from or "", ref.remote_id)
            or forgotten.has(kind, ref.remote_id)
        )
    ]


def _store_foreign(conn: sqlite3.Connection, row: AudienceRow, touched: BitMap) -> None:
    audiences.refresh(conn, row.id, touched, waiting=BitMap(), settled=BitMap())
