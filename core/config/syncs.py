"""`[[syncs]]`: the keys that every sync has, the audience, and the audience's own keys against its Params."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.config.locate import Path
from core.config.model import ConnectionConfig, Guard, Partition, Segment, SyncConfig
from core.config.names import name_problem, suggest
from core.config.problems import Problems
from core.config.tables import SyncTable
from core.contract import Audience, Carrying
from core.contract.audiences import PLURAL, Of
from core.registry import Connector

COMMON = tuple(SyncTable.model_fields)
GROUP = "{group}"


@dataclass(frozen=True, slots=True)
class Known:
    """What a sync may name."""

    connections: Mapping[str, ConnectionConfig]
    connectors: Mapping[str, Connector]
    segments: Mapping[str, Segment]
    partitions: Mapping[str, Partition]
    written: Mapping[str, frozenset[str]]
    """All names of each table, also of what has problems of its own, which are not to be repeated here."""


def read_syncs(tables: object, known: Known, problems: Problems) -> dict[str, SyncConfig]:
    """Return the syncs by name."""
    if not isinstance(tables, list):
        problems.say(("syncs",), "must be an array of tables", "write [[syncs]], with two brackets")
        return {}
    syncs: dict[str, SyncConfig] = {}
    at: dict[str, Path] = {}
    for index, table in enumerate(tables):
        sync = _read(("syncs", index), table, known, problems)
        if sync is None:
            continue
        if sync.name in syncs:
            there = problems.places.find(at[sync.name])
            remedy = f"the other is at {there.file}:{there.line}; give one of them a name"
            problems.say(("syncs", index), f"two syncs are called {sync.name}", remedy)
        else:
            syncs[sync.name], at[sync.name] = sync, ("syncs", index)
    _refuse_shared_audiences(syncs, at, known, problems)
    return syncs


def _read(at: Path, table: object, known: Known, problems: Problems) -> SyncConfig | None:
    if not isinstance(table, Mapping):
        problems.say(at, "must be a table")
        return None
    before = len(problems)
    basics = problems.validate(SyncTable, {key: table[key] for key in COMMON if key in table}, at)
    if basics is None:
        return None
    of = _members(basics, at, known, problems)
    if basics.to not in (there := known.written["connections"]):
        problems.say((*at, "to"), f"there is no connection {basics.to!r}", suggest(basics.to, there))
    if of is None or basics.to not in known.connections:
        return None
    name = basics.name or f"{of.name}_to_{basics.to}"
    if wrong := name_problem(name):
        problems.say((*at, "name"), f"{name!r} cannot be the name of a sync", wrong)
    own = {key: value for key, value in table.items() if key not in COMMON}
    _refuse_waits_in_vain(basics, at, problems)
    found = _audience(basics, of, own, at, known, problems)
    if found is None or len(problems) > before:
        return None
    return SyncConfig(
        name,
        place=problems.places.find(at),
        segment=basics.segment,
        partition=basics.partition,
        to=basics.to,
        audience_kind=found[0],
        audience_name=found[1],
        params=own,
        mode=basics.mode,
        baseline=basics.baseline,
        create_missing=basics.create_missing,
        require_consent=basics.require_consent,
        schedule=basics.schedule,
        enabled=basics.enabled,
        guard=basics.guard or Guard(),
        grace=basics.grace,
        min_stay=basics.min_stay,
    )


def _refuse_waits_in_vain(basics: SyncTable, at: Path, problems: Problems) -> None:
    for key in ("grace", "min_stay"):
        if basics.mode == "add_only" and getattr(basics, key) is not None:
            problems.say((*at, key), 'says when people are removed, and mode = "add_only" removes nobody', f"take {key} out")


def _members(basics: SyncTable, at: Path, known: Known, problems: Problems) -> Segment | Partition | None:
    """Return the segment or partition that the sync is of."""
    if (basics.segment is None) == (basics.partition is None):
        problems.say(at, "must have either a segment or a partition")
        return None
    found: Segment | Partition | None
    if basics.segment is not None:
        what, name = "segment", basics.segment
        found = known.segments.get(name)
    else:
        what, name = "partition", str(basics.partition)
        found = known.partitions.get(name)
    if name not in (there := known.written[f"{what}s"]):
        problems.say((*at, what), f"there is no {what} {name!r}", suggest(name, there))
    return found


def _audience(
    basics: SyncTable, of: Segment | Partition, own: Mapping[str, Any], at: Path, known: Known, problems: Problems
) -> tuple[str, str] | None:
    """Return the kind and the name of the audience, checked with the audience's own rules."""
    connector = known.connectors[basics.to]
    kinds = connector.audiences
    if not kinds:
        problems.say((*at, "to"), f"{basics.to} ({connector.name}) can only be pulled from")
        return None
    kind, name = _kind_and_name(basics, of, kinds, at, problems)
    if kind is None:
        return None
    made = kinds[kind]
    if (members := _of(of)) != made.of:
        _say_of_others(basics, of, members, made, kinds, at, problems)
    elif made.of == "company":
        _check_companies(basics, made, at, known, problems)
    _check_baseline(basics, connector.name, made, at, problems)
    params = problems.validate(made.Params, own, at, also=COMMON)
    if basics.create_missing and made.create_people is None:
        problems.say((*at, "create_missing"), f"{connector.name} cannot create people for a {kind}", "leave it out")
    if isinstance(of, Partition) and GROUP not in name:
        problems.say((*at, "audience"), f"must contain {GROUP}, since each group of {of.name} has an audience of its own")
    elif isinstance(of, Segment) and GROUP in name:
        problems.say((*at, "audience"), f"{GROUP} stands for the groups of a partition, and {of.name} is a segment")
    elif params is not None:
        _check_names(made(params), name, of, at, problems)
        _check_fields(made(params), name, of, at, problems)
    return kind, name


def _of(of: Segment | Partition) -> Of:
    return of.of if isinstance(of, Segment) else "person"


def _say_of_others(
    basics: SyncTable,
    of: Segment | Partition,
    members: Of,
    made: type[Audience],
    kinds: Mapping[str, type[Audience]],
    at: Path,
    problems: Problems,
) -> None:
    """Say that an audience holds no such members, and what to do about it."""
    what = "partition" if isinstance(of, Partition) else "segment"
    message = f"{of.name} is a {what} of {PLURAL[members]}, and a {made.kind} at {basics.to} holds {PLURAL[made.of]}"
    others = [kind for kind, one in kinds.items() if one.of == members]
    if others:
        remedy = f"a {others[0]} holds {PLURAL[members]}"
    elif members == "company":
        remedy = f'name it in a segment of people: segment("{of.name}") is true of whose company is in it'
    else:
        remedy = 'give the segment of = "company"'
    problems.say((*at, what), message, remedy)


def _check_companies(basics: SyncTable, made: type[Audience], at: Path, known: Known, problems: Problems) -> None:
    """Companies are known at a destination by the records of them that are pulled from there, and by nothing else."""
    pulled = known.connections[basics.to].streams
    if pulled is not None and made.ids_from not in pulled:
        said = f"companies are known at {basics.to} by its stream {made.ids_from}, which is not pulled"
        problems.say((*at, "to"), said, f"add {made.ids_from!r} to the streams of {basics.to}")
    if basics.require_consent:
        problems.say((*at, "require_consent"), "a company consents to nothing", "leave it out")


def _check_baseline(basics: SyncTable, connector: str, made: type[Audience], at: Path, problems: Problems) -> None:
    """Check that members who were there before us can be read, and removed, where they are to be adopted."""
    if basics.baseline == "ignore":
        return
    where = (*at, "baseline")
    if made.whole:
        problems.say(where, f"a {made.kind} of {connector} is ours as a whole: nobody is in it before us", "leave it out")
    elif made.members is Audience.members:
        said = f"{connector} cannot tell who is in a {made.kind}, so nobody can be adopted"
        problems.say(where, said, 'leave it out: whoever is there stays, as "ignore" has it')
    elif basics.baseline == "replace" and basics.mode == "add_only":
        problems.say(where, "replace removes people, and add_only never does", 'write baseline = "adopt", or mode = "mirror"')


def _kind_and_name(
    basics: SyncTable, of: Segment | Partition, kinds: Mapping[str, type[Audience]], at: Path, problems: Problems
) -> tuple[str | None, str]:
    title = f"{of.title}: {GROUP}" if isinstance(of, Partition) else of.title
    # a kind need not be written where only one holds such members
    fit = {kind: made for kind, made in kinds.items() if made.of == _of(of)} or kinds
    listed = ", ".join(f'{{ {kind} = "{title}" }}' for kind in fit)
    match basics.audience:
        case dict() as spelled if len(spelled) == 1:
            kind, name = next(iter(spelled.items()))
            if kind not in kinds:
                problems.say((*at, "audience"), f"{basics.to} has no audience kind {kind!r}", suggest(kind, kinds))
                return None, ""
        case dict():
            problems.say((*at, "audience"), "must be one kind and its name", f"for instance {listed}")
            return None, ""
        case spelled:
            if len(fit) > 1:
                problems.say((*at, "audience"), f"{basics.to} has several kinds of audience", f"write one of {listed}")
                return None, ""
            kind, name = next(iter(fit)), title if spelled is None else spelled
    if not name.strip():
        problems.say((*at, "audience"), "the name is empty")
        return None, ""
    return kind, name


def _check_names(audience: Audience, name: str, of: Segment | Partition, at: Path, problems: Problems) -> None:
    for real in _names(name, of):
        wrong = audience.check_name(real)
        if wrong:
            problems.say((*at, "audience"), f"{real!r} cannot be its name: {wrong}")


def _check_fields(audience: Audience, name: str, of: Segment | Partition, at: Path, problems: Problems) -> None:
    """Check the further fields that an audience carries: their names, and that no group clears another's."""
    if not isinstance(audience, Carrying):
        return
    taken = {real.strip().casefold() for real in _names(name, of)}
    for field in audience.params.fields:
        if wrong := audience.check_name(field):
            problems.say((*at, "fields"), f"{field!r} cannot be a field: {wrong}")
        if field.strip().casefold() in taken:
            problems.say((*at, "fields"), f"{field!r} is the name of the audience, or of another field")
        taken.add(field.strip().casefold())
    if audience.params.fields and isinstance(of, Partition) and audience.params.leavers == "clear":
        remedy = 'write leavers = "keep"'
        said = "who goes from one group to another would lose the values that the new one writes"
        problems.say((*at, "leavers"), said, remedy)


def _names(name: str, of: Segment | Partition) -> list[str]:
    if not isinstance(of, Partition):
        return [name]
    groups = [*of.groups, *([of.otherwise] if of.otherwise else [])]
    return [name.replace(GROUP, group) for group in groups]


def _refuse_shared_audiences(syncs: Mapping[str, SyncConfig], at: Mapping[str, Path], known: Known, problems: Problems) -> None:
    """Two syncs on one audience would undo each other; names that differ only in case are one at most vendors."""
    taken: dict[tuple[str, str, str], str] = {}
    for sync in syncs.values():
        of = known.segments[sync.segment] if sync.segment is not None else known.partitions[str(sync.partition)]
        for name in _names(sync.audience_name, of):
            other = taken.setdefault((sync.to, sync.audience_kind, name.strip().casefold()), sync.name)
            if other != sync.name:
                problems.say((*at[sync.name], "audience"), f"{name!r} at {sync.to} is the audience of the sync {other} already")
    for sync in syncs.values():
        fields = sync.params.get("fields")
        for field in fields if isinstance(fields, Mapping) else ():
            other = taken.setdefault((sync.to, sync.audience_kind, str(field).strip().casefold()), sync.name)
            if other != sync.name:
                problems.say((*at[sync.name], "fields"), f"{field!r} at {sync.to} is written by the sync {other} already")
