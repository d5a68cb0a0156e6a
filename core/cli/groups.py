"""Segments and partitions: how big they are, what changed, who is in."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from core.cli.app import FAILED, App, as_of_option, moment, verb

if TYPE_CHECKING:
    from pyroaring import BitMap

    from core.config.model import Config
    from core.segments.definitions import Definitions
    from core.segments.evaluate import Evaluation
    from core.store import Store

CHUNK = 5_000
RECENT_RUNS = 10


@verb("segments", "tagalong segments pricing_page_regulars --members")
@click.argument("name", required=False)
@click.option("--members", is_flag=True, help="List who is in it: profile ids and identifiers.")
@as_of_option
@click.pass_obj
def segments_command(app: App, name: str | None, members: bool, as_of: datetime | None) -> int:
    """
    Show how big segments are, what changed and who is in.

    NAME is a segment, PARTITION or PARTITION.GROUP.
    """
    from core.cli.definitions import definitions_of
    from core.segments.evaluate import evaluate
    from core.store import Store

    config = app.config()
    at = moment(as_of, config, app.clock)
    chosen = _sets(name, config) if name else None
    if members and (chosen is None or len(chosen) > 1):
        raise click.UsageError("--members takes the name of one segment, or PARTITION.GROUP")
    with Store(config.workspace.database) as store:
        definitions = definitions_of(config, store)
        evaluation = evaluate(store, definitions, as_of=at, names=chosen)
        code = FAILED if evaluation.failed else 0
        if members and chosen:
            return _members(app, store, chosen[0], evaluation)
        changes = {key: _last_change(store, key, at) for key in evaluation.sets}
        found = _sizes(config, evaluation, changes)
        detail = [_detail(store, definitions, one, at) for one in chosen or ()]
    if app.as_json:
        told = {"detail": detail} if chosen else {}
        return app.answer({**found, **told, "failed": evaluation.failed, "warnings": evaluation.warnings}, code)
    _show(found, changes, evaluation)
    for one in detail:
        _show_detail(one)
    return code


def _sets(name: str, config: Config) -> list[str]:
    """Return the names of the sets that *name* speaks of."""
    from core.config.names import suggest

    if name in config.segments:
        return [f"segment.{name}"]
    partition, _, group = name.partition(".")
    if partition not in config.partitions:
        raise click.UsageError(
            f"there is no segment or partition {name!r}; {suggest(name, [*config.segments, *config.partitions])}"
        )
    groups = _groups(partition, config)
    if group and group not in groups:
        raise click.UsageError(f"the partition {partition} has no group {group!r}; {suggest(group, groups)}")
    return [f"partition.{partition}.{one}" for one in groups if group in ("", one)]


def _groups(name: str, config: Config) -> list[str]:
    partition = config.partitions[name]
    return [*partition.groups, *([partition.otherwise] if partition.otherwise else [])]


def _sizes(config: Config, evaluation: Evaluation, changes: Mapping[str, Change]) -> dict[str, Any]:
    sets = evaluation.sets
    segments = []
    for segment in config.segments.values():
        key = f"segment.{segment.name}"
        if key in sets:
            segments.append({
                "name": segment.name, "title": segment.title, "of": len(evaluation.universe), "size": len(sets[key]),
                "entered": changes[key].entered, "left": changes[key].left, "approximate": evaluation.approximate.get(key, []),
            })  # fmt: skip
    partitions = []
    for name in config.partitions:
        groups = [(group, f"partition.{name}.{group}") for group in _groups(name, config)]
        sizes = [{"name": group, "size": len(sets[key])} for group, key in groups if key in sets]
        if sizes:
            partitions.append({"name": name, "groups": sizes})
    return {"as_of": evaluation.as_of, "segments": segments, "partitions": partitions}


class Change(NamedTuple):
    """Who came and went in the last recorded run that changed a set; nobody, before the first."""

    entered: int = 0
    left: int = 0
    at: datetime | None = None


def _last_change(store: Store, name: str, until: datetime) -> Change:
    from core.clock import to_us

    # a daemon records with each of its syncs: what the last of them changed is mostly nothing, and says nothing
    return next((change for _, change in _history(store, name, to_us(until), 1)), Change())


def _history(store: Store, name: str, until_us: int, runs: int) -> list[tuple[int, Change]]:
    from pyroaring import BitMap

    from core.clock import from_us

    rows = store.conn.execute(
        "SELECT run_id, at, entered, left FROM membership_history WHERE name = ? AND at <= ?"
        " ORDER BY at DESC, run_id DESC LIMIT ?",
        (name, until_us, runs),
    )
    return [
        (run, Change(len(BitMap.deserialize(entered)), len(BitMap.deserialize(left)), from_us(at)))
        for run, at, entered, left in rows
    ]


def _show(found: dict[str, Any], changes: Mapping[str, Change], evaluation: Evaluation) -> None:
    """Print sizes; who entered and left only where a run was recorded."""
    from core.cli.output import age, clean, table

    recorded = any(change.at for change in changes.values())

    def changed(key: str) -> list[object]:
        change = changes[key]
        ago = age((evaluation.as_of - change.at).total_seconds()) + " ago" if change.at else ""
        return [change.entered, change.left, ago] if recorded else []

    columns = ("entered", "left", "changed") if recorded else ()
    if found["segments"]:
        rows = [[s["name"], s["title"], s["size"], s["of"], *changed(f"segment.{s['name']}")] for s in found["segments"]]
        table(("segment", "title", "size", "of", *columns), rows)
    for number, partition in enumerate(found["partitions"]):
        click.echo("\n" * bool(number or found["segments"]), nl=False)
        rows = [[g["name"], g["size"], *changed(f"partition.{partition['name']}.{g['name']}")] for g in partition["groups"]]
        table((f"partition {partition['name']}", "size", *columns), rows)
    for what, names in _turned(evaluation.approximate).items():
        click.echo(clean(f"answered as of today: {what} ({_spoken(names, evaluation)})"))
    _tell_doubts(evaluation)


def _turned(texts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return by text the sets that it is of, for each is told once."""
    turned: dict[str, list[str]] = {}
    for name, several in texts.items():
        for text in several:
            turned.setdefault(text, []).append(name)
    return turned


def _spoken(names: Sequence[str], evaluation: Evaluation) -> str:
    return "everywhere" if len(names) == len(evaluation.sets) else ", ".join(names)


def _tell_doubts(evaluation: Evaluation) -> None:
    """Tell what could not be told, and each warning once."""
    from core.cli.output import clean

    for name, reason in evaluation.failed.items():
        click.echo(clean(f"failed: {name}: {reason}"), err=True)
    for warning, names in _turned(evaluation.warnings).items():
        click.echo(clean(f"warning: {warning} ({_spoken(names, evaluation)})"), err=True)


def _detail(store: Store, definitions: Definitions, name: str, until: datetime) -> dict[str, Any]:
    from core.clock import to_us

    one = definitions.sets[name]
    config = definitions.config
    kind, _, rest = name.partition(".")
    partition, _, group = rest.partition(".")
    where = config.segments[rest].where if kind == "segment" else config.partitions[partition].groups.get(group, "")
    history = _history(store, name, to_us(until), RECENT_RUNS)
    changes = [{"run": run, "at": change.at, "entered": change.entered, "left": change.left} for run, change in history]
    return {
        "name": name, "title": one.title, "where": where.strip(), "rests_on": sorted(one.rests_on),
        "unseen": sorted(one.unseen), "warnings": list(one.warnings), "changes": changes,
    }  # fmt: skip


def _show_detail(detail: dict[str, Any]) -> None:
    from core.cli.output import clean, table

    click.echo(clean(f"\n{detail['name']}: {detail['where'] or 'everybody whom no group matches'}"))
    click.echo(clean(f"rests on {', '.join(detail['rests_on']) or 'nothing'}"))
    for warning in detail["warnings"]:
        click.echo(clean(f"warning: {warning}"), err=True)
    if detail["changes"]:
        rows = [[str(change["run"]), change["at"], change["entered"], change["left"]] for change in detail["changes"]]
        table(("run", "at", "entered", "left"), rows)


def _members(app: App, store: Store, name: str, evaluation: Evaluation) -> int:
    """Print the members as they are read, so that a million of them take no memory."""
    from core.cli.output import as_json, cell

    if name in evaluation.failed:
        if app.as_json:
            return app.answer({"as_of": evaluation.as_of, "members": [], "failed": evaluation.failed}, FAILED)
        _tell_doubts(evaluation)
        return FAILED
    members = evaluation.sets[name]
    if not app.as_json:
        _tell_doubts(evaluation)
        for profile_id, identifiers in _identified(store, members):
            click.echo(
                f"{profile_id}\t" + "\t".join(cell(f"{kind}:{v}") for kind, values in identifiers.items() for v in values)
            )
        return 0
    out = sys.stdout
    out.write(as_json({"ok": True, "as_of": evaluation.as_of}).removesuffix("}") + ', "members": [')
    for index, (profile_id, identifiers) in enumerate(_identified(store, members)):
        out.write(", " * bool(index) + as_json({"profile_id": profile_id, "identifiers": identifiers}))
    out.write("]}\n")
    return 0


def _identified(store: Store, members: BitMap) -> Iterator[tuple[int, dict[str, list[str]]]]:
    for chunk in _chunks(members):
        found: dict[int, dict[str, list[str]]] = {profile_id: {} for profile_id in chunk}
        marks = ", ".join("?" * len(chunk))
        for profile_id, kind, value in store.conn.execute(
            f"SELECT profile_id, kind, value FROM identifiers WHERE profile_id IN ({marks}) ORDER BY profile_id, kind, value",
            chunk,
        ):
            found[profile_id].setdefault(kind, []).append(value)
        yield from found.items()


def _chunks(members: BitMap) -> Iterator[Sequence[int]]:
    for start in range(0, len(members), CHUNK):
        yield list(members[start : start + CHUNK])
