"""
All segments and partitions of a config, read and checked: what each asks, rests on and names, or every problem at once.

A partition's group becomes a set of its own whose condition says that no earlier group matched. Nothing here reads rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from core.config.names import suggest
from core.errors import ConfigError, Problem
from core.segments.calendar import WEEKDAYS
from core.segments.kept_history import history_problems
from core.segments.language import ExpressionError
from core.segments.reader import Scope, read
from core.segments.rests import digests_in, rests_on, rests_on_zones
from core.segments.texts import Text, Zone, in_order, texts_of, whole_of
from core.segments.traits import Book, TraitDefinition, trait_problems
from core.segments.traits_errors import BrokenTrait
from core.segments.traits_syncs import sync_problems
from core.segments.tree import (
    And,
    Condition,
    Exists,
    InGroup,
    InSegment,
    Not,
    Or,
    walk,
)
from core.segments.tree_sets import CompanyIn
from core.segments.unseen import unseen_in
from core.segments.vocabulary import Vocabulary

if TYPE_CHECKING:
    from core.config.model import Config, Partition, Place


@dataclass(frozen=True, slots=True)
class SetDefinition:
    """One set of people: `segment.NAME` or `partition.NAME.GROUP`."""

    name: str
    condition: Condition
    _: KW_ONLY
    title: str
    place: Place
    anonymous: bool = False
    of: Literal["person", "company"] = "person"
    """What its members are."""
    definition: str = ""
    """Hash of the text with everything that it names."""
    refers: frozenset[str] = frozenset()
    """The sets that it names."""
    rests_on: frozenset[str] = frozenset()
    """The streams (`connection.stream`) that can feed it, what it names, and `exclude`; those that join people; consent."""
    unseen: frozenset[str] = frozenset()
    """Events, surveys and questions that it names and no complete pull has shown, each as `event "Signed Up"`."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything that the config defines, checked."""

    sets: Mapping[str, SetDefinition] = field(default_factory=dict)
    _: KW_ONLY
    order: tuple[str, ...] = ()
    """The sets, each after those that it names."""
    exclude: str | None = None
    """The set that is kept out of all others."""
    config: Config
    vocabulary: Vocabulary
    traits: Mapping[str, TraitDefinition] = field(default_factory=dict)


def define(config: Config, vocabulary: Vocabulary) -> Definitions:
    """Return the checked definitions of *config*; ConfigError with all problems, each with its caret."""
    problems: list[Problem] = []
    read_: dict[str, Condition] = {}
    texts = {text.set_name: text for text in texts_of(config)}
    book = _scope(config, vocabulary, config.workspace.timezone).book
    assert book is not None
    problems += [*trait_problems(book, vocabulary), *sync_problems(config, book)]
    for text in texts.values():
        try:
            read_[text.set_name] = read(text.text, _scope(config, vocabulary, text.zone, text.of, text.anonymous, book))
        except BrokenTrait:
            continue  # told where the trait stands
        except ExpressionError as error:
            problems.append(error.problem(text.text, file=text.place.file, line=text.place.line, key=text.key))
    problems += _exclude_problems(config)
    order = in_order(texts, read_, problems)
    if problems:
        raise ConfigError(*problems)
    exclude = f"segment.{config.workspace.exclude}" if config.workspace.exclude is not None else None
    sets = _sets(config, vocabulary, texts, read_, order, exclude)
    traits = {name: _trait(book, name, vocabulary) for name in book}
    trees = ((one.name, one.condition, one.place) for one in sets.values())
    of_traits = ((one.name, one.value, one.place) for one in traits.values())
    if short := history_problems(config.workspace.retention.field_history, chain(trees, of_traits)):
        raise ConfigError(*short)
    return Definitions(
        sets,
        order=tuple(sets),
        exclude=exclude,
        config=config,
        vocabulary=vocabulary,
        traits=traits,
    )


def _exclude_problems(config: Config) -> Iterator[Problem]:
    exclude = config.workspace.exclude
    if exclude is not None and exclude not in config.segments:
        remedy = suggest(exclude, config.segments)
        yield Problem(f"there is no segment {exclude}", str(config.path), key="workspace.exclude", remedy=remedy)
    elif exclude is not None and config.segments[exclude].of == "company":
        remedy = "exclude a segment of people"
        yield Problem(f"{exclude} is a segment of companies", str(config.path), key="workspace.exclude", remedy=remedy)


def _sets(
    config: Config,
    vocabulary: Vocabulary,
    texts: Mapping[str, Text],
    read_: Mapping[str, Condition],
    order: Iterable[str],
    exclude: str | None,
) -> Mapping[str, SetDefinition]:
    """Return every set, each after those that it names."""
    made = {s.name: s for s in (*_segments(config, read_), *_groups(config, read_))}
    members: dict[str, list[str]] = {}
    for name in made:
        members.setdefault(whole_of(name), []).append(name)
    sets: dict[str, SetDefinition] = {}
    for name in (name for whole in order for name in members[whole]):
        sets[name] = _completed(made[name], texts, sets, vocabulary)
    if exclude is None:
        return sets
    under = sets[exclude].rests_on
    return {name: replace(s, rests_on=s.rests_on | under) for name, s in sets.items()}


def _trait(book: Book, name: str, vocabulary: Vocabulary) -> TraitDefinition:
    value, config = book.read(name), book.config.traits[name]
    unseen, warnings = unseen_in(Exists(value), vocabulary)
    rests = rests_on(Exists(value), vocabulary) | vocabulary.always
    return TraitDefinition(
        name,
        value,
        title=_title(name, config.title),
        place=config.place,
        rests_on=rests,
        unseen=unseen,
        warnings=tuple(warnings),
    )


def _scope(
    config: Config, vocabulary: Vocabulary, zone: Zone, of: str = "person", anonymous: bool = False, book: Book | None = None
) -> Scope:
    groups = {p.name: _group_names(p) for p in config.partitions.values()}
    workspace = config.workspace

    def scopes(zone: Zone | None, of: str, anonymous: bool) -> Scope:
        return _scope(config, vocabulary, zone or workspace.timezone, of, anonymous)

    return Scope(
        vocabulary,
        zone if isinstance(zone, ZoneInfo) else workspace.timezone,
        personal=zone == "person" and of == "person",
        first_day=WEEKDAYS.index(workspace.week_start),
        segments=frozenset(config.segments),
        partitions=groups,
        of=of,
        anonymous=anonymous,
        company_segments=frozenset(s.name for s in config.segments.values() if s.of == "company"),
        folder=config.folder,
        book=book or Book(config, scopes),
    )


def scope_of(definitions: Definitions, name: str) -> Scope:
    """Return where the expression of the set *name* stands, to read it once more."""
    kind, short = name.split(".")[:2]
    config = definitions.config
    of = config.segments[short] if kind == "segment" else config.partitions[short]
    members = getattr(of, "of", "person")
    return _scope(config, definitions.vocabulary, of.timezone or config.workspace.timezone, members, of.anonymous)


def _group_names(partition: Partition) -> tuple[str, ...]:
    rest = (partition.otherwise,) if partition.otherwise is not None and partition.otherwise not in partition.groups else ()
    return (*partition.groups, *rest)


def _title(name: str, title: str) -> str:
    return title or name.replace("_", " ").capitalize()


def _segments(config: Config, read_: Mapping[str, Condition]) -> Iterator[SetDefinition]:
    for s in config.segments.values():
        condition = read_[f"segment.{s.name}"]
        title = _title(s.name, s.title)
        yield SetDefinition(f"segment.{s.name}", condition, title=title, place=s.place, anonymous=s.anonymous, of=s.of)


def _groups(config: Config, read_: Mapping[str, Condition]) -> Iterator[SetDefinition]:
    for p in config.partitions.values():
        texts = [read_[f"partition.{p.name}.{group}"] for group in p.groups]
        for group in _group_names(p):
            at = list(p.groups).index(group) if group in p.groups else len(texts)
            parts = [*texts[at : at + 1], *([Not(Or(tuple(texts[:at])))] if at else [])]
            condition = parts[0] if len(parts) == 1 else And(tuple(parts))
            if group == p.otherwise and group in p.groups:
                condition = Or((condition, Not(Or(tuple(texts)))))
            title = f"{_title(p.name, p.title)}: {group}"
            yield SetDefinition(f"partition.{p.name}.{group}", condition, title=title, place=p.place, anonymous=p.anonymous)


def _completed(
    made: SetDefinition, texts: Mapping[str, Text], done: Mapping[str, SetDefinition], vocabulary: Vocabulary
) -> SetDefinition:
    """Return *made* with what follows from its condition and from the sets that it names."""
    whole = whole_of(made.name)
    refers = frozenset(name for node in walk(made.condition) for name in _referred(node))
    under = [done[name] for name in sorted(refers)]
    personal = any(t.zone == "person" for name, t in texts.items() if whole_of(name) == whole)
    zones = rests_on_zones(made.condition, vocabulary) if personal else frozenset[str]()
    own = sorted(f"{name}\x1f{t.text.strip()}\x1f{t.zone}{t.calendar}" for name, t in texts.items() if whole_of(name) == whole)
    order = [name for name in texts if whole_of(name) == whole]  # the first group that matches wins
    files = digests_in(made.condition)
    kind = [made.of] if made.of != "person" else []
    parts = [made.name, str(made.anonymous), *kind, *own, *files, *order, *(s.definition for s in under)]
    unseen, warnings = unseen_in(made.condition, vocabulary)
    return SetDefinition(
        made.name,
        made.condition,
        title=made.title,
        place=made.place,
        anonymous=made.anonymous,
        of=made.of,
        definition=hashlib.sha256("\x1e".join(parts).encode()).hexdigest()[:16],
        refers=refers,
        rests_on=rests_on(made.condition, vocabulary) | zones | vocabulary.always | {s for u in under for s in u.rests_on},
        unseen=unseen | {name for u in under for name in u.unseen},
        warnings=tuple(dict.fromkeys((*warnings, *(w for u in under for w in u.warnings)))),
    )


def _referred(node: Condition) -> Iterator[str]:
    match node:
        case InSegment() | CompanyIn():
            yield f"segment.{node.name}"
        case InGroup():
            yield from (f"partition.{node.partition}.{group}" for group in node.groups)
