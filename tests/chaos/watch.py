"""
What must never happen, looked for in what the sandboxes logged and the proxy saw.

Nobody is removed whom the generator has wanted ever since the lists were last right; nobody who was put there by hand; nobody
who said no is added at an e-mail tool, or has a status that the world did not give them; no limit's window holds more requests
than it allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from fronts import Seen

from core.contract import Limit, Sandbox
from core.demo.compare import Target, targets
from core.demo.people.model import World
from core.demo.people.truth import expected_list, expected_tag, truth

Lists = Mapping[str, Mapping[str, frozenset[str]]]
REFUSED = ("unsubscribed", "cleaned")
STATUS_WORDS = (b'"status":"subscribed"', b'"status": "subscribed"', b'"opt_in"', b'"subscribe"', b'"email_optout"')


def wanted(world: World, at: datetime, lists: Lists) -> dict[Target, set[str]]:
    """Return who must be in each list at *at*, as the sandboxes speak of members; *lists* is what they hold before the run."""
    sets = truth(world, at).sets
    found = {}
    for target in targets():
        people = sets[target.set_name]
        if target.connection == "crm":
            found[target] = expected_list(people).members
        else:
            found[target] = expected_tag(world, people, lowered(lists, target)).members
    return found


def lowered(lists: Lists, target: Target) -> set[str]:
    """Return the members of a target's list, in lower case."""
    return {member.lower() for member in lists.get(target.connection, {}).get(target.audience, frozenset())}


@dataclass(slots=True)
class Watch:
    """What has been looked at so far, and what was found."""

    world: World
    sandboxes: Mapping[str, Sandbox]
    by_hand: Mapping[Target, frozenset[str]]
    """Who was put into the lists by hand."""
    always: dict[Target, set[str]] = field(default_factory=dict)
    """Who has been wanted ever since the lists were last right."""
    moved: int = 0
    _logged: dict[str, int] = field(default_factory=dict)

    def lists(self) -> Lists:
        """Return what the sandboxes' lists hold."""
        return {name: box.audiences() for name, box in self.sandboxes.items()}

    def right(self, at: datetime) -> None:
        """The lists are right: from now on those are watched who are wanted and there."""
        lists = self.lists()
        self.always = {t: members & lowered(lists, t) for t, members in wanted(self.world, at, lists).items()}

    def lived(self, *moments: datetime) -> None:
        """Something may have changed, or time has passed: who is not wanted at one of *moments* may be removed."""
        lists = self.lists()
        for at in moments:
            for target, members in wanted(self.world, at, lists).items():
                self.always[target] = self.always.get(target, set()) & members

    def judge(self) -> list[str]:
        """Return what is wrong with what happened since the last time."""
        wrong = []
        by_name = {(target.connection, target.audience): target for target in targets()}
        refused = {p.member_email.lower() for p in self.world.people if p.member_email and p.member_status in REFUSED}
        for name, box in self.sandboxes.items():
            lines = box.change_log[self._logged.get(name, 0) :]
            self._logged[name] = len(box.change_log)
            self.moved += len(lines)
            for line in lines:
                target, member = by_name.get((name, line.audience)), line.member.lower()
                if target is None:
                    wrong.append(f"{name} {line.audience!r}: a list that no sync names was changed")
                elif line.op == "remove" and member in self.by_hand.get(target, ()):
                    wrong.append(f"{name} {line.audience!r}: {member} was removed, who was put there by hand")
                elif line.op == "remove" and member in self.always.get(target, ()):
                    wrong.append(f"{name} {line.audience!r}: {member} was removed, who was wanted all the time")
                elif line.op == "add" and name == "mail" and member in refused:
                    wrong.append(f"{name} {line.audience!r}: {member} was added, who had said no")
            wrong += _statuses(name, box, self.world)
        return wrong


def _statuses(name: str, box: Any, world: World) -> list[str]:
    """Hold everybody's status against the one that the world gave them."""
    if name != "mail" or not hasattr(box, "statuses"):
        return []
    right = {p.member_email.lower(): p.member_status for p in world.people if p.member_email}
    return [
        f"{name}: somebody is {status} and should be {right[address]}"
        for address, status in box.statuses().items()
        if address in right and status != right[address]
    ]


def subscribing(seen: Iterable[Seen]) -> list[str]:
    """Return the requests that would have subscribed somebody."""
    return [
        f"{one.connection}: {one.method} {one.path} would subscribe somebody"
        for one in seen
        if one.method != "GET" and any(word in one.body for word in STATUS_WORDS)
    ]


def above_the_rate(seen: Sequence[Seen], limits: Mapping[str, Sequence[Limit]]) -> list[str]:
    """Return the windows of *limits* (by connection) that hold more requests than they allow, by the senders' moments."""
    found = []
    for connection, several in limits.items():
        own = [one for one in seen if one.connection == connection and one.sent_at is not None]
        for limit in several:
            covered = sorted(float(one.sent_at or 0) for one in own if _covers(limit, one.path))
            most = _most(covered, limit.per_s) * limit.cost
            if most > limit.amount:
                found.append(f"{connection}: {most:g} requests within {limit.per_s:g} s, where {limit.amount:g} are allowed")
    return found


def _covers(limit: Limit, path: str) -> bool:
    if "/oauth/" in path or "/oauth2/" in path:
        return False  # asking for tokens is not the api's
    return not limit.paths or any(fnmatchcase(path, glob) for glob in limit.paths)


def _most(moments: Sequence[float], per_s: float) -> int:
    """Return the most moments that any window of *per_s* holds; *moments* are sorted."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - per_s:
            first += 1
        most = max(most, last - first + 1)
    return most
