"""The weather clears: one run, with the approvals that the guards ask for, must make everything right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from hubs import CALM_TIMEOUT_S
from memberships import spoken
from mending import repair, retry_dead_letters
from scene import Scene
from watch import lowered, wanted

from core.demo.compare import Target
from core.planning.approve import approve
from core.pulling.fill import PullRun
from core.pushing.delivery import SyncRun
from core.run import SyncReport, sync
from core.store import Store, leases
from core.store.runs import Status

QUIET: Final = timedelta(hours=5)
"""After as long every tool has told of all that happened: one exports an hour's events three hours after it ended."""
ABOUT_NOW: Final = timedelta(minutes=5)
ROUNDS: Final = 4
"""Times that a person looks at what is held and lets it through."""


def calm(scene: Scene, *, full: bool = False, look: bool = False) -> list[str]:
    """
    The weather clears: one run, with the approvals that the guards ask for, makes everything right.

    *full*: a source returned half of its people, and is asked for everything again. *look*: a vendor may have lost what it
    took, so somebody looks at what the destinations hold.
    """
    scene.proxy.weather = None
    scene.wind.set(None, timedelta(0))
    scene.pass_by(QUIET)
    scene.sign_in_again()
    wrong: list[str] = []
    with scene.hub(timeout_s=CALM_TIMEOUT_S) as hub:
        if (scene.folder / "tagalong.db").exists():
            wrong = repair(hub, scene.stage.sandboxes, scene.watch.by_hand) if look else []
            retry_dead_letters(hub)
    before = scene.watch.lists()
    ran = scene.run(timeout_s=CALM_TIMEOUT_S, full=full)
    wrong += [f"unexpected in clear weather: {one}" for one in ran.unexpected]
    report = ran.report
    if report is None:
        return [*wrong, f"the run in clear weather ended with {ran.status}"]
    for _ in range(ROUNDS):
        asked = _asked_for(report)
        if not asked:
            break
        report = _approve(scene, asked, report)
    as_of = report.as_of
    ended: tuple[PullRun | SyncRun, ...] = (*report.pulls, *report.syncs)
    for one in ended:
        if one.status is not Status.DONE:
            name = getattr(one, "name", None) or getattr(one, "connection", "")
            holds = [held.reason for made in getattr(one, "plans", ()) for held in made.held]
            wrong.append(f"{name} ended with {one.status} in clear weather: {one.error} {holds}")
    if as_of - scene.clock() > ABOUT_NOW:
        wrong.append(f"the lists are as of {as_of - scene.clock()} ahead")
    wrong += _differences(scene, as_of, before)
    wrong += _left_over(scene)
    wrong += scene.judge()
    scene.watch.right(as_of)
    return wrong


def _approve(scene: Scene, asked: Sequence[str], report: SyncReport) -> SyncReport:
    """Let through what is held, as a person would who looked at it and found it right."""
    with scene.hub(timeout_s=CALM_TIMEOUT_S) as hub:
        for target in asked:
            approve(hub, target, send=False)
        return sync(hub, pull=False)


def _differences(scene: Scene, as_of: datetime, before: Mapping[str, Mapping[str, frozenset[str]]]) -> list[str]:
    """Hold each list against the generator's word."""
    wrong, lists = [], scene.watch.lists()
    for target, members in wanted(scene.world, as_of, before).items():
        there = lowered(lists, target)
        right = members | scene.watch.by_hand.get(target, frozenset())
        if there != right:
            missing, extra = sorted(right - there)[:3], sorted(there - right)[:3]
            counts = f"{len(right - there)} missing, {len(there - right)} too many"
            story = _story(scene, target, [*missing, *extra][0])
            wrong.append(f"{target.connection} {target.audience!r}: {counts} ({missing}, {extra}); {story}")
    return wrong


def _story(scene: Scene, target: Target, member: str) -> str:
    """Return what the ledger and the intents say of *member*, and what came of it: a storm seldom comes twice."""
    box = scene.stage.sandboxes[target.connection]
    with Store(scene.folder / "tagalong.db", read_only=True) as store:
        ids = store.conn.execute(
            "SELECT DISTINCT m.remote_id FROM intent_members m JOIN intents i ON i.id = m.intent_id"
            " JOIN audiences a ON a.id = i.audience_id WHERE a.connection = ? AND m.remote_id IS NOT NULL",
            (target.connection,),
        ).fetchall()
        keys = json.dumps([member, *(id_ for (id_,) in ids if spoken(box, id_) == member)])
        of = (target.audience, target.connection, keys)
        known = store.conn.execute(
            "SELECT l.member_key, l.state, l.run_id FROM ledger l JOIN audiences a ON a.id = l.audience_id WHERE a.name = ?1"
            " AND a.connection = ?2 AND EXISTS (SELECT 1 FROM json_each(?3) WHERE value IN (l.member_key, l.remote_id))",
            of,
        ).fetchall()
        intended = store.conn.execute(
            "SELECT m.member_key, i.run_id, m.op, m.verdict, m.reason FROM intent_members m JOIN intents i"
            " ON i.id = m.intent_id JOIN audiences a ON a.id = i.audience_id WHERE a.name = ?1 AND a.connection = ?2"
            " AND EXISTS (SELECT 1 FROM json_each(?3) WHERE value IN (m.member_key, m.remote_id)) ORDER BY i.id",
            of,
        ).fetchall()
        last = store.conn.execute("SELECT max(id) FROM runs").fetchone()[0]
    there = [str(line.op) for line in box.change_log if line.audience == target.audience and line.member.lower() == member]
    return f"ledger {known}, intents {intended}, there {there}, {last} runs"


def _left_over(scene: Scene) -> list[str]:
    """Look for what a dead process may have left in the store."""
    with Store(scene.folder / "tagalong.db", read_only=True) as store:
        intents = store.conn.execute("SELECT count(*) FROM intents WHERE settled_at IS NULL AND job IS NULL").fetchone()[0]
        held = [n for (n,) in store.conn.execute("SELECT name FROM leases") if leases.is_held(store.conn, n, scene.clock)]
        unsound = [row[0] for row in store.conn.execute("PRAGMA integrity_check") if row[0] != "ok"]
    left = [f"{intents} intents were never settled"] if intents else []
    return [*left, *(f"the lease {name} is still held" for name in held), *unsound]


def _asked_for(report: SyncReport) -> list[str]:
    """Return what the guards ask to be approved, streams first."""
    asked = {held.approve or made.target.sync.name for run in report.syncs for made in run.plans for held in made.held}
    return sorted(asked, key=lambda name: ("." not in name, name))
