"""What `plan --json` says beside what is there to be read: all that `sync --plan` needs to carry out just that, sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from core.hub import Hub
    from core.planning.plan import Plan
    from core.store import Store

HOUR, DAY = 3_600.0, 86_400.0


def as_document(hub: Hub, store: Store, plans: Sequence[Plan], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return *data*, the answer to `plan --json`, as a document; its `plans` are those of *plans*, described."""
    from core.cli.output import plain
    from core.planning.document import FORMAT, describe, sealed
    from core.store.seal import seal_of

    with store.atomic() as conn:
        seal = seal_of(conn)
    told = [{**one, **describe(store, plan, seal)} for one, plan in zip(data["plans"], plans, strict=True)]
    # `ok` is what the answer begins with, whatever is held
    document = plain({"ok": True, **data, "plans": told, "format": FORMAT, "made_at": hub.clock(), "store": seal.store_id})
    return {**document, "seal": sealed(document, seal)}


def describe_plans(hub: Hub, store: Store, plans: Sequence[Plan]) -> list[dict[str, Any]]:
    """Return plans in JSON's words, with what they need of the vendor's quota, and how many flap where no grace helps them."""
    from core.cli.flapping import count_flapping
    from core.cli.plans import describe_plan

    found = []
    for plan in plans:
        told = describe_plan(plan)
        mends = plan.target.sync.grace is None and told["mode"] == "mirror"
        flapping = count_flapping(store.conn, [plan.target.set_name], until=plan.as_of) if mends else None
        found.append({**told, "asked": plan.asked, "quota": describe_quota(hub, store, plan), "flapping": flapping})
    return found


def describe_quota(hub: Hub, store: Store, plan: Plan) -> dict[str, Any]:
    """Return what a plan needs of the vendor's quota, with what a sync asks before it sends, and what is left of it."""
    from core.limits.quota import quota_of
    from core.planning.cost import pace_s

    target = plan.target
    manifest = hub.connector(target.connection).manifest
    found = quota_of(store.conn, target.connection, manifest, target.audience.path, now=hub.clock())
    limit = None if found.limit is None else {"amount": found.limit.amount, "per_s": found.limit.per_s}
    seconds = plan.seconds + plan.asked * pace_s(manifest, target.audience.path)
    return {
        "requests": plan.requests + plan.asked, "minutes": round(seconds / 60, 1), "resume_at": found.resume_at,
        "remaining": found.remaining, "limit": limit,
    }  # fmt: skip


def show_quotas(plans: Sequence[Mapping[str, Any]]) -> None:
    """Print, for each connection, what it took to find people, and where there is a quota what is needed and left of it."""
    from core.cli.output import clean, counted

    needed: dict[str, int] = {}
    asked: dict[str, int] = {}
    quotas: dict[str, Mapping[str, Any]] = {}
    for plan in plans:
        needed[plan["to"]] = needed.get(plan["to"], 0) + plan["quota"]["requests"]
        asked[plan["to"]] = asked.get(plan["to"], 0) + plan["asked"]
        quotas[plan["to"]] = plan["quota"]
    for connection, quota in quotas.items():
        if asked[connection]:
            took = counted(asked[connection], "request")
            click.echo(clean(f"{connection}: it took {took} to find who is there, which a sync makes as well"))
        if quota["resume_at"] is not None:
            click.echo(clean(f"{connection}: the quota is used up until {quota['resume_at']:%Y-%m-%d %H:%M}Z"))
        if quota["remaining"] is not None:
            every = {HOUR: "an hour", DAY: "a day"}.get(quota["limit"]["per_s"], f"in {quota['limit']['per_s']:g} s")
            left = f"{quota['remaining']:,} of {quota['limit']['amount']:,g} {every} left"
            click.echo(clean(f"{connection}: {counted(needed[connection], 'request')} needed, {left}"))
