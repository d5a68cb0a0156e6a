"""`tagalong explain`: why somebody is in a segment or a group, or is not, and when that can change by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, App, as_of_option, moment, verb
from core.cli.group_names import sets_of

if TYPE_CHECKING:
    from core.segments.definitions import Definitions
    from core.segments.explain import Explanation
    from core.segments.explain_sources import Source
    from core.segments.explain_tree import Node
    from core.segments.explain_values import Seen
    from core.store import Store

Described = dict[str, Any]


@verb("explain", "tagalong explain hot_leads ann@example.com")
@click.argument("segment")
@click.argument("who")
@as_of_option
@click.pass_obj
def explain_command(app: App, segment: str, who: str, as_of: datetime | None) -> int:
    """
    Show why a person is in a segment, or is not.

    SEGMENT is a segment, PARTITION or PARTITION.GROUP. WHO is an address, a user id, a profile id or KIND:VALUE. Each
    condition is told with what was seen, where that comes from, and until when it holds if nothing new comes in.
    """
    from core.cli.definitions import definitions_of
    from core.store import Store
    from core.store.people import find_profiles

    config = app.config()
    at = moment(as_of, config, app.clock)
    names = sets_of(segment, config)
    with Store(config.workspace.database) as store:
        definitions = definitions_of(config, store)
        people = [_explained(store, definitions, names, one, at) for one in find_profiles(store, who)]
    cannot = any(one["member"] is None for person in people for one in person["sets"])
    code = FAILED if cannot or not people else 0
    if app.as_json:
        return app.answer({"as_of": at, "name": segment, "people": people}, code)
    if not people:
        app.say("nobody is known by that; `tagalong segments NAME --members` lists identifiers")
    for number, person in enumerate(people):
        click.echo("\n" * bool(number), nl=False)
        _show(person, segment, len(names) > 1, at)
    return code


def _explained(store: Store, definitions: Definitions, names: Sequence[str], profile_id: int, at: datetime) -> Described:
    """Return one person's answer; of a partition the groups up to the one that they fall into."""
    from core.segments.explain import explain_several

    found = explain_several(store, definitions, names, profile_id, as_of=at)
    told = [_described(one, at) for one in found]
    place = next((n for n, one in enumerate(found) if one.member), None)
    return {
        "profile_id": profile_id,
        "identifiers": _identifiers(store, profile_id),
        "group": names[place].rpartition(".")[2] if place is not None and names[place].startswith("partition.") else None,
        "sets": told if place is None else told[: place + 1],
    }


def _identifiers(store: Store, profile_id: int) -> dict[str, list[str]]:
    rows = store.conn.execute("SELECT kind, value FROM identifiers WHERE profile_id = ? ORDER BY kind, value", (profile_id,))
    found: dict[str, list[str]] = {}
    for kind, value in rows:
        found.setdefault(kind, []).append(value)
    return found


def _described(one: Explanation, at: datetime) -> Described:
    return {
        "name": one.name, "member": one.member, "live": one.live, "known": one.known, "excluded": one.excluded,
        "next_change": _next(one), "foreseen": one.foreseen, "approximate": list(one.approximate), "tree": _node(one.tree, at),
    }  # fmt: skip


def _next(one: Explanation | Node) -> Described | None:
    return None if one.next is None else {"at": one.next.at, "then": one.next.holds}


def _node(node: Node, at: datetime) -> Described:
    return {
        "kind": node.kind, "text": node.text, "holds": node.holds, "reason": node.reason or None,
        "values": [_value(seen, at) for seen in node.seen],
        "next_change": _next(node), "children": [_node(child, at) for child in node.children],
    }  # fmt: skip


def _value(seen: Seen, at: datetime) -> Described:
    return {
        "text": seen.text, "values": list(seen.values), "rows": seen.count, "part_of": seen.part_of,
        "sources": [_source(source, at) for source in seen.sources],
    }  # fmt: skip


def _source(source: Source, at: datetime) -> Described:
    age_s = None if source.at is None else round((at - source.at).total_seconds())
    return {"stream": source.stream, "record": source.record, "at": source.at, "age_s": age_s}


# --- for a person to read ------------------------------------------------------------------------------------------


def _show(person: Described, asked: str, is_partition: bool, at: datetime) -> None:
    from core.cli.output import clean

    who = next(iter(person["identifiers"].get("email") or person["identifiers"].get("user_id") or ["?"]))
    line = f"{who} (profile {person['profile_id']})"
    if is_partition:
        line += f": {person['group'] or 'no group'} of {asked}"
    else:
        (one,) = person["sets"]
        line += " cannot be told" if one["member"] is None else f" is {'in' if one['member'] else 'not in'} {asked}"
    click.echo(clean(line))
    for one in person["sets"]:
        _show_set(one, is_partition, at)


def _show_set(one: Described, is_partition: bool, at: datetime) -> None:
    from core.cli.drawing import prose
    from core.cli.group_sizes import gathered
    from core.cli.output import clean, table

    if is_partition:
        member = {True: "yes", False: "no", None: "cannot be told"}[one["member"]]
        click.echo(clean(f"\n{one['name'].rpartition('.')[2]}: {member}"))
    for reason in _reasons(one):
        click.echo(reason)
    click.echo()
    table(("holds", "condition", "seen", "from", "until"), list(_rows(one["tree"], 0, at)))
    change = one["next_change"]
    if change is not None:
        verb = {True: "enters", False: "leaves", None: "may change"}[change["then"]]
        click.echo(f"\n{verb} at {_when(change['at'])} if nothing new comes in")
    if not one["foreseen"]:
        click.echo("what other people do can change it at any time")
    if one["approximate"]:
        click.echo(prose(clean(f"answered as of today: {', '.join(gathered(one['approximate']))}"), 4))


def _reasons(one: Described) -> Iterator[str]:
    if not one["live"]:
        yield "not there at that time, or gone: every record of theirs is deleted"
    elif not one["known"]:
        yield "without an e-mail or a user id: only segments with `anonymous = true` have them"
    if one["excluded"]:
        yield "kept out by the workspace's exclude"


def _rows(node: Described, depth: int, at: datetime) -> Iterator[list[object]]:
    holds = {True: "yes", False: "no", None: "?"}[node["holds"]]
    own = [value for value in node["values"] if value["part_of"] is None]
    told = node["reason"] or "; ".join(_seen(value, len(own) > 1) for value in own)
    until = _when(node["next_change"]["at"]) if node["next_change"] else ""
    yield [holds, "  " * depth + node["text"], told, _origins(own, at), until]
    for value in node["values"]:
        if value["part_of"] is not None:
            yield ["", "  " * (depth + 2) + value["text"], _seen(value, False), _origins([value], at), ""]
    for child in node["children"]:
        yield from _rows(child, depth + 1, at)


def _origins(values: Sequence[Described], at: datetime) -> str:
    return ", ".join(dict.fromkeys(_origin(source, at) for value in values for source in value["sources"]))


def _seen(value: Described, named: bool) -> str:
    told = ", ".join(map(_told, value["values"])) or "nothing"
    return f"{value['text']}: {told}" if named else told


def _told(value: object) -> str:
    """Return a value as exactly as it takes to see why it passed: 0.497 is below 0.5, which 0.5 is not."""
    from core.cli.output import cell

    if not isinstance(value, float) or value.is_integer():
        return cell(value)
    return f"{value:.4g}" if abs(value) < 1 else f"{value:,.4f}".rstrip("0").rstrip(".")


def _origin(source: Described, at: datetime) -> str:
    from core.cli.output import age

    since = "" if source["at"] is None else f" ({age(source['age_s'])})" if source["at"] <= at else " (changed since)"
    return f"{source['stream']} {source['record']}{since}"


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z"
