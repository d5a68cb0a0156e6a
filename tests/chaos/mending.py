"""
What a person does after a storm, before the one run that must put all right: look at what was given up and at what is there.

A vendor that said yes and lost a batch is found by no run: only reading the destination shows it. `drift --repair` has those
put in again who are missing. Whom a vendor kept though it said that they were taken out is shown as there by another's hand,
also where they were wanted again meanwhile and found to be there; nobody but a person can know better, so a person takes them
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from memberships import spoken

from core.clock import to_us
from core.contract import Ref, Sandbox
from core.demo.compare import Target
from core.hub import Hub
from core.live.drift import What
from core.live.repair import drift
from core.store import letters, live

_FOREIGN: Final = (
    "SELECT remote_id, handle, object FROM ledger WHERE audience_id = ? AND state = 'foreign' AND remote_id IS NOT NULL"
)


def retry_dead_letters(hub: Hub) -> None:
    """`tagalong dead-letters retry --all`."""
    with hub.store() as store, store.atomic() as conn:
        letters.retry(conn, letters.Chosen(everything=True), at=to_us(hub.clock()))


def repair(hub: Hub, boxes: Mapping[str, Sandbox], by_hand: Mapping[Target, frozenset[str]]) -> list[str]:
    """Take out by hand whom a vendor kept, then `tagalong drift --repair`; return what could not be compared."""
    put = {(target.connection, target.audience): members for target, members in by_hand.items()}
    with hub.store() as store, hub.session() as session:
        for one in drift(hub, store):
            if one.row is None:
                continue
            found = [f for f, _, _ in live.differences(store.conn, one.row.id) if f.what in (What.EXTRA, What.UNKNOWN)]
            shown = [(f.remote_id, f.handle, f.object) for f in found] + store.conn.execute(_FOREIGN, (one.row.id,)).fetchall()
            box, theirs = boxes[one.row.connection], put.get((one.row.connection, one.row.name), frozenset())
            refs = [Ref(id_, handle=handle, object=of) for id_, handle, of in shown if spoken(box, id_) not in theirs]
            logged = len(box.change_log)
            if refs:
                one.target.audience.apply(session.api(one.row.connection), one.row.remote_id, [], refs)
            del box.change_log[logged:]
    with hub.store() as store:
        mended = drift(hub, store, repair=True)
        return [f"{one.label} could not be compared: {one.error}" for one in mended if one.error is not None]
