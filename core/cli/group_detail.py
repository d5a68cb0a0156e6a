"""What one set is made of: each condition alone and so far, a sample, whom it shares with others, who came and went by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pyroaring import BitMap

    from core.segments.definitions import Definitions
    from core.segments.doubts import Overlap
    from core.segments.evaluate import Evaluation
    from core.segments.funnel import Funnel
    from core.store import Store

RECENT_RUNS = 10
SAMPLE = 5
SHOWN = 5
"""Overlaps that are printed; JSON has them all."""
DAYS = 14
BAR = 30
"""The longest bar of the chart."""

Detail = dict[str, Any]


def details(
    store: Store, definitions: Definitions, chosen: Sequence[str], at: datetime, *, today: bool
) -> tuple[Evaluation, list[Detail]]:
    """
    Return the sets of *chosen* evaluated, and what each is made of.

    The other sets, which they may share people with, are taken as the last run recorded them, if *today* is asked for and
    they say the same still; else they are evaluated, too.
    """
    from core.segments.evaluate import evaluate
    from core.segments.funnel import Funnels

    funnels = Funnels(definitions, chosen)
    like = [name for name in definitions.sets if definitions.sets[name].of == definitions.sets[chosen[0]].of]
    known = _recorded(store, definitions, like) if today else {}
    names = [*dict.fromkeys((*chosen, *(name for name in like if name not in known))), *funnels.names]
    whole = evaluate(store, funnels.definitions, as_of=at, names=names)
    others = known | {name: whole.sets[name] for name in like if name in whole.sets}
    return _only(whole, chosen), [_detail(store, definitions, name, whole, funnels.of(name, whole), others) for name in chosen]


def _recorded(store: Store, definitions: Definitions, names: Sequence[str]) -> dict[str, BitMap]:
    from core.store.memberships import recorded

    found = {name: recorded(store.conn, name) for name in names}
    return {n: one.members for n, one in found.items() if one and one.definition == definitions.sets[n].definition}


def _only(whole: Evaluation, chosen: Sequence[str]) -> Evaluation:
    """Return of an evaluation what is of *chosen*."""

    def of(found: Any) -> Any:
        return {name: value for name, value in found.items() if name in chosen}

    return replace(
        whole, sets=of(whole.sets), excluded=of(whole.excluded), failed=of(whole.failed), approximate=of(whole.approximate),
        warnings=of(whole.warnings),
    )  # fmt: skip


def _detail(
    store: Store,
    definitions: Definitions,
    name: str,
    whole: Evaluation,
    funnel: Funnel | None,
    others: Mapping[str, BitMap],
) -> Detail:
    from core.cli.group_sizes import history
    from core.clock import to_us
    from core.segments.doubts import doubts, overlaps
    from core.segments.moves import days

    one = definitions.sets[name]
    members = whole.sets.get(name)
    apart = {other: its for other, its in others.items() if _apart(name, other)}
    alike = overlaps(members, apart) if members is not None else []
    zone, until = definitions.config.workspace.timezone, whole.as_of
    changes = [
        {"run": run, "at": change.at, "entered": change.entered, "left": change.left}
        for run, change in history(store, name, to_us(until), RECENT_RUNS)
    ]
    return {
        "name": name, "title": one.title, "where": _where(definitions, name), "size": None if members is None else len(members),
        "funnel": None if funnel is None else {
            "kind": funnel.kind, "steps": [{"text": s.text, "alone": s.alone, "so_far": s.so_far} for s in funnel.steps],
        },
        "sample": [] if members is None else _sample(store, members, of_companies=one.of == "company"),
        "overlaps": [_overlap(other) for other in alike],
        "days": [{"day": d.day, "entered": d.entered, "left": d.left} for d in days(
            store.conn, name, until=until, zone=zone, count=DAYS)],
        "rests_on": sorted(one.rests_on), "unseen": sorted(one.unseen),
        "warnings": doubts(store, definitions, name, whole, funnel=funnel, alike=alike), "changes": changes,
    }  # fmt: skip


def _apart(name: str, other: str) -> bool:
    """Return whether two sets may share people: not one and the same, and not two groups of one partition."""
    kind, first, *_ = name.split(".")
    its_kind, second, *_ = other.split(".")
    return name != other and not (kind == its_kind == "partition" and first == second)


def _where(definitions: Definitions, name: str) -> str:
    kind, _, rest = name.partition(".")
    partition, _, group = rest.partition(".")
    config = definitions.config
    where = config.segments[rest].where if kind == "segment" else config.partitions[partition].groups.get(group, "")
    return where.strip()


def _overlap(one: Overlap) -> Detail:
    return {"name": one.name, "size": one.size, "both": one.both, "share": round(one.share, 4)}


def _sample(store: Store, members: BitMap, *, of_companies: bool) -> list[Detail]:
    """Return a few members, evenly spread over them all and the same each time."""
    from pyroaring import BitMap

    from core.cli.members import identified

    step = max(1, len(members) // SAMPLE)
    some = BitMap(members[at] for at in range(0, min(len(members), step * SAMPLE), step))
    key = "company_id" if of_companies else "profile_id"
    return [{key: id_, "identifiers": ids} for id_, ids in identified(store, some, key)]


# --- for a person to read ------------------------------------------------------------------------------------------


def show_detail(detail: Detail) -> None:
    """Print what a set is made of."""
    from core.cli.drawing import prose
    from core.cli.output import clean

    click.echo(clean(f"\n{detail['name']}: {detail['where'] or 'everybody whom no group matches'}"))
    click.echo(prose(clean(f"rests on {', '.join(detail['rests_on']) or 'nothing'}"), 4))
    for warning in detail["warnings"]:
        click.echo(clean(f"warning: {warning}"), err=True)
    _show_funnel(detail)
    if detail["sample"]:
        click.echo()
        click.echo(prose(clean("for example " + ", ".join(map(_who, detail["sample"]))), 4))
    _show_overlaps(detail)
    _show_days(detail)


def _show_funnel(detail: Detail) -> None:
    from core.cli.output import table

    funnel = detail["funnel"]
    if funnel is None or len(funnel["steps"]) < 2:
        return
    click.echo()
    kind, so_far = ("all of", "so far") if funnel["kind"] == "all" else ("any of", "together")
    # the text comes last: there it folds, and conditions are long
    table(("alone", so_far, kind), [[step["alone"], step["so_far"], step["text"]] for step in funnel["steps"]])


def _who(one: Detail) -> str:
    identifiers = one["identifiers"]
    for kind in ("email", "user_id", *identifiers):
        if identifiers.get(kind):
            return str(identifiers[kind][0])
    return f"profile {one['profile_id']}" if "profile_id" in one else f"company {one['company_id']}"


def _show_overlaps(detail: Detail) -> None:
    from core.cli.output import table

    if detail["overlaps"]:
        click.echo()
        size = detail["size"] or 1
        rows = [
            [o["name"], o["size"], o["both"], f"{o['both'] / size:.0%}", f"{o['share']:.0%}"]
            for o in detail["overlaps"][:SHOWN]
        ]
        table(("shares with", "size", "both", "of this", "alike"), rows)


def _show_days(detail: Detail) -> None:
    """Print a bar of pluses for who came and of minuses for who left, a line a day."""
    from core.cli.output import table

    if not any(day["entered"] or day["left"] for day in detail["days"]):
        return
    most = max(day["entered"] + day["left"] for day in detail["days"])
    unit = max(1.0, most / BAR)

    def bar(count: int, sign: str) -> str:
        return sign * -(-count // unit).__trunc__() if count else ""

    click.echo()
    rows = [
        [f"{day['day']:%a %d %b}", day["entered"], day["left"], bar(day["entered"], "+") + bar(day["left"], "-")]
        for day in detail["days"]
    ]
    table(("day", "entered", "left", ""), rows)
