"""How big sets are, and who came and went in the last run that changed them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from core.cli.group_names import groups_of

if TYPE_CHECKING:
    from core.segments.definitions import Definitions
    from core.segments.evaluate import Evaluation
    from core.store import Store

_OF_A_FIELD = re.compile(
    r"(?P<of>(changes of )?(profile|company|subscription)) (?P<name>\w+) "
    r"before (?P<since>it was first pulled|its history begins)"
)


class Change(NamedTuple):
    """Who came and went in the last recorded run that changed a set; nobody, before the first."""

    entered: int = 0
    left: int = 0
    at: datetime | None = None


def last_change(store: Store, name: str, until: datetime) -> Change:
    from core.clock import to_us

    # a daemon records with each of its syncs: what the last of them changed is mostly nothing, and says nothing
    return next((change for _, change in history(store, name, to_us(until), 1)), Change())


def history(store: Store, name: str, until_us: int, runs: int) -> list[tuple[int, Change]]:
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


def sizes(definitions: Definitions, evaluation: Evaluation, changes: Mapping[str, Change]) -> dict[str, Any]:
    """Return the sizes of what was evaluated; of a partition also how many of all are in one of the groups shown."""
    config, sets = definitions.config, evaluation.sets
    segments = []
    for segment in config.segments.values():
        key = f"segment.{segment.name}"
        if key in sets:
            segments.append({
                "name": segment.name, "title": segment.title, "of": _of(key, definitions, evaluation), "size": len(sets[key]),
                "entered": changes[key].entered, "left": changes[key].left, "approximate": evaluation.approximate.get(key, []),
            })  # fmt: skip
    partitions = []
    for name in config.partitions:
        groups = [(group, f"partition.{name}.{group}") for group in groups_of(name, config)]
        shown = [(group, key) for group, key in groups if key in sets]
        if shown:
            partitions.append(_partition(name, shown, evaluation, definitions))
    return {"as_of": evaluation.as_of, "segments": segments, "partitions": partitions}


def _partition(name: str, shown: Sequence[tuple[str, str]], evaluation: Evaluation, definitions: Definitions) -> dict[str, Any]:
    covered = sum(len(evaluation.sets[key]) for _, key in shown)  # nobody is in two
    groups = [{"name": group, "size": len(evaluation.sets[key])} for group, key in shown]
    return {"name": name, "groups": groups, "of": _of(shown[0][1], definitions, evaluation), "covered": covered}


def _of(key: str, definitions: Definitions, evaluation: Evaluation) -> int:
    """Return among how many a set was looked for."""
    return len(evaluation.companies if definitions.sets[key].of == "company" else evaluation.universe)


def show_sizes(found: dict[str, Any], changes: Mapping[str, Change], evaluation: Evaluation) -> None:
    """Print sizes; who entered and left only where a run was recorded."""
    from core.cli.drawing import prose
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
        click.echo(f"{partition['covered']:,} of {partition['of']:,}{_share(partition)} are in one of these")
    for line in told_of_today(evaluation):
        click.echo(prose(clean(line), 4))
    tell_doubts(evaluation)


def _share(partition: Mapping[str, Any]) -> str:
    return f" ({partition['covered'] / partition['of']:.0%})" if partition["of"] else ""


def turned(texts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return by text the sets that it is of, for each is told once."""
    turned: dict[str, list[str]] = {}
    for name, several in texts.items():
        for text in several:
            turned.setdefault(text, []).append(name)
    return turned


def told_of_today(evaluation: Evaluation) -> Iterator[str]:
    """Yield what was answered from today's values, a line for all that is of the same sets."""
    together: dict[str, list[str]] = {}
    for what, names in turned(evaluation.approximate).items():
        together.setdefault(spoken(names, evaluation), []).append(what)
    for whose, several in together.items():
        yield f"answered as of today: {', '.join(gathered(several))} ({whose})"


def gathered(texts: Sequence[str]) -> list[str]:
    """Return *texts* with the fields of which the same holds told together."""
    fields: dict[tuple[str, str], list[str]] = {}
    found: list[str] = []
    for text in texts:
        if match := _OF_A_FIELD.fullmatch(text):
            fields.setdefault((match["of"], match["since"]), []).append(match["name"])
        else:
            found.append(text)
    return [*found, *(f"{of} {', '.join(names)} before {since}" for (of, since), names in fields.items())]


def spoken(names: Sequence[str], evaluation: Evaluation) -> str:
    """Return *names* in a few words, a partition for all its groups."""
    if len(names) == len(evaluation.sets):
        return "everywhere"
    groups: dict[str, set[str]] = {}
    for name in evaluation.sets:
        if name.startswith("partition."):
            groups.setdefault(name.rpartition(".")[0], set()).add(name)
    whole = {partition for partition, its in groups.items() if len(its) > 1 and its <= set(names)}
    parts = (name.rpartition(".")[0] for name in names)
    return ", ".join(dict.fromkeys(part if part in whole else name for name, part in zip(names, parts, strict=True)))


def tell_doubts(evaluation: Evaluation) -> None:
    """Tell what could not be told, and each warning once."""
    from core.cli.output import clean

    for name, reason in evaluation.failed.items():
        click.echo(clean(f"failed: {name}: {reason}"), err=True)
    for warning, names in turned(evaluation.warnings).items():
        click.echo(clean(f"warning: {warning} ({spoken(names, evaluation)})"), err=True)
