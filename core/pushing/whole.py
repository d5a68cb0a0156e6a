"""
An audience that is written whole: a file with everybody who is to be there, which takes the old one's place at one instant.

Writing it takes a while, and who says no or is forgotten meanwhile is in what was written. So everybody is looked at once more
when all is written and nothing has taken the old one's place, and it is written anew without whoever is refused by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass

from pyroaring import BitMap

from core.contract import Api, Change, Op, Outcome, Verdict
from core.planning.permission import gone_meanwhile
from core.planning.plan import Plan, after
from core.pushing.batches import Batches
from core.store import Store
from core.store.audiences import COMPANY, AudienceRow
from core.store.intents import Member


class _RefusedMeanwhile(Exception):  # noqa: N818 - a state of the world
    """Breaks off a writing."""

    def __init__(self, who: BitMap) -> None:
        super().__init__(f"{len(who)} members")
        self.who = who


@dataclass(frozen=True, slots=True)
class Whole:
    """One writing of one plan."""

    store: Store
    plan: Plan
    batches: Batches
    _: KW_ONLY
    refused: Callable[[BitMap], BitMap]
    """Who of some who are to be put in must not be, by now."""
    check: Callable[[], None]
    """Raises when told to stop."""

    def write(self, api: Api, row: AudienceRow) -> BitMap:
        """Write everybody, anew as long as somebody is refused while it is written; return who was left out for that."""
        out = BitMap()
        while True:
            try:
                self.plan.target.audience.replace(api, row.remote_id, self._members(row, out))
            except _RefusedMeanwhile as found:
                out |= found.who
                self.check()
            else:
                return out

    def _members(self, row: AudienceRow, out: BitMap) -> Iterator[Change]:
        yield from self.batches.everybody(row, out)
        new = (self.plan.adds | self.plan.creates | BitMap([move.profile_id for move in self.plan.moves])) - out
        found = self.refused(new)
        if self.plan.target.audience.of != COMPANY:  # a company's number may be that of somebody who was forgotten
            found |= gone_meanwhile(self.store.conn, after(self.plan) - out - new)
        if found:
            raise _RefusedMeanwhile(found)


def written(member: Member, out: BitMap) -> Outcome:
    """Return what became of a member of an audience that was written without those in *out*."""
    if member.op is Op.ADD and (member.profile_id or 0) in out:
        return Outcome(member.ref, Verdict.RETRY, reason="refused meanwhile")
    return Outcome(member.ref, Verdict.DONE)
