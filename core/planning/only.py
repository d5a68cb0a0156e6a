"""One person alone, in one sync: the plans made less of, why nothing would be sent of them, and what the vendor answered."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from pyroaring import BitMap

from core.config.model import Config, SyncConfig
from core.errors import ConfigError, HubError, Problem
from core.http.observe import Seen
from core.planning.effects import members_of, only
from core.planning.plan import Plan, Skip
from core.store import Store
from core.store.audiences import COMPANY
from core.store.people import find_profiles

MOST_ANSWERS: Final = 20
SKIPPED: Final = {
    Skip.NO_IDENTIFIER: "has no identifier by which the destination knows people",
    Skip.CONSENT: "said no to e-mail",
    Skip.NOT_FOUND: "is not known to the destination; asked for again after a day, or when their record there changes",
    Skip.SUPPRESSED: "is suppressed at the destination",
    Skip.DUPLICATE: "is there more than once, or shares an address or object with somebody else",
    Skip.EXCLUDED: "is in the workspace's `exclude`",
    Skip.REJECTED: "was refused by the destination and is not due to be tried again; `tagalong dead-letters` says when",
    Skip.WAITING: "is on the way already: an earlier batch or job has not been answered",
    Skip.FOREIGN: "is in the audience, and was there before us",
    Skip.GRACE: "is no longer wanted, and stays for the sync's `grace`",
    Skip.MIN_STAY: "is no longer wanted, and stays for the sync's `min_stay`",
    Skip.CHANGED: "has changed since it was found out who is wanted; ask once more",
}


def whom(store: Store, who: str) -> int:
    """
    Return the profile that *who* names: an address, a user id, a profile id or `kind:value`.

    Raises:
        HubError: nobody is known by it.
        ConfigError: several are.
    """
    found = find_profiles(store, who)
    marks = ", ".join("?" * len(found))
    live = [id_ for (id_,) in store.conn.execute(f"SELECT id FROM profiles WHERE live = 1 AND id IN ({marks})", found)]
    if len(live) == 1 or len(found) == 1:
        return (live or found)[0]
    if not found:
        raise HubError("nobody is known by that; `tagalong person WHO` tells whom one means")
    several = ", ".join(map(str, live or found))
    raise ConfigError(Problem(f"{len(live or found)} profiles are known by that", remedy=f"say which: {several}"))


def refuse_companies(syncs: Iterable[SyncConfig], config: Config) -> None:
    """
    See that none of *syncs* pushes companies, one of which may have the number of a person.

    Raises:
        ConfigError: one does.
    """
    for sync in syncs:
        if sync.segment is not None and config.segments[sync.segment].of == COMPANY:
            said = f"the sync {sync.name} pushes companies, and --only names one person"
            raise ConfigError(Problem(said, remedy=f"`tagalong sync {sync.name} --limit 1` sends one company"))


def alone(plans: Sequence[Plan], profile_id: int) -> list[Plan]:
    """Return *plans* for one person: what is sent, and what is held of them and of nobody else."""
    person = BitMap([profile_id])
    found = []
    for plan in plans:
        kept = only(plan, dict.fromkeys(members_of(plan), person))
        adds, removes = plan.held_adds & person, plan.held_removes & person
        held = plan.held if plan.whole_held or adds or removes else ()
        found.append(replace(kept, held=held, held_adds=adds, held_removes=removes, limited=True))
    return found


def why_not(plan: Plan, profile_id: int) -> str | None:
    """Return why nothing is sent of somebody to the audience of *plan*; None where something is."""
    draft = plan.draft
    if any(profile_id in who for who in members_of(plan).values()):
        return None
    if plan.whole_held or profile_id in plan.held_adds | plan.held_removes:
        return "is held: " + "; ".join(held.reason for held in plan.held)
    skipped = next((skip for skip, who in plan.skips.items() if profile_id in who), None)
    if skipped is not None:
        until = draft.stays.until(profile_id)
        awaited = f"is wanted, and stays in another group for the sync's `{skipped}`"
        reason = awaited if profile_id in draft.stays.awaited() else SKIPPED[skipped]
        return reason + (f", until {until:%Y-%m-%d %H:%M}Z" if until else "")
    wanted, owned = profile_id in draft.wanted, profile_id in draft.standing.owned
    if wanted and owned:
        return "is there as they should be; there is nothing to send"
    if wanted:
        return "is wanted, and there is nothing to send"
    if owned:
        return "is not wanted, and is not taken out"
    if profile_id in draft.standing.theirs:
        return "is not wanted; they are there all the same, and it was not we who put them there"
    return f"is not in {draft.target.set_name}, and not in the audience by our doing"


class Answers:
    """Keeps what the vendor answers from `begin` on, for as long as a command runs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = False
        self.seen: list[Seen] = []
        self.left_out = 0

    def begin(self) -> None:
        """From now on it is about what was asked for: what was sent before was for pulling and planning."""
        with self._lock:
            self._begun = True

    def observe(self, seen: Seen) -> None:
        """Keep an answer."""
        with self._lock:
            if self._begun and len(self.seen) < MOST_ANSWERS:
                self.seen.append(seen)
            elif self._begun:
                self.left_out += 1
