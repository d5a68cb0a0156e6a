"""
Answers to SQL: the latest of a person, or every one.

Which question is the NPS or the CSAT one is told by the vendor where it knows (`measure`), else by the question's name, else by
its survey's.
"""

from __future__ import annotations

from typing import Final

from core.segments import dialect
from core.segments.compile_calendar import inside, own_times
from core.segments.dialect import Sql
from core.segments.facts import Facts
from core.segments.relation import Relation
from core.segments.tree import Answer, Answered, Score
from core.segments.tree_constants import Type

SIGNS: Final = {
    "nps": ("%nps%", "%net promoter%", "%likely%recommend%"),
    "csat": ("%csat%", "%satisf%"),
}
"""LIKE patterns, in lower case."""


def answered(leaf: Answered, facts: Facts) -> Sql:
    """Return who answered the survey in the window."""
    window = inside(leaf.window, "coalesce(a.answered_at, 0)", facts.as_of_us, own_times("a.profile_id", facts))
    return Sql(
        f"SELECT a.profile_id FROM answers a WHERE {_live(facts)} AND a.survey = ? AND {window.text}",
        (leaf.survey, *window.params),
    )


def answer(value: Answer, facts: Facts) -> Relation:
    """Return what people answered; one row for each label chosen."""
    rows = _rows(
        Sql(f"{_live(facts)} AND a.survey = ? AND a.question = ?", (value.survey, value.question)), facts, every=value.every
    )
    match value.type:
        case Type.NUMBER:
            return Relation(Sql(f"SELECT p, number AS v FROM ({rows.text})", rows.params))
        case Type.BOOLEAN:
            return Relation(Sql(f"SELECT p, number AS v FROM ({rows.text}) WHERE kind = 'boolean'", rows.params))
        case Type.ANY:
            given = "coalesce(nullif(text, ''), nullif(choice, '[]'), number)"
            return Relation(Sql(f"SELECT p, {given} AS v FROM ({rows.text})", rows.params))
        case _:
            items = f"({rows.text}) r, {dialect.items('r.choice')} j WHERE r.choice IS NOT NULL AND j.type = 'text'"
            labels = f"SELECT r.p, j.value AS v FROM {items}"
            texts = f"SELECT p, text AS v FROM ({rows.text}) WHERE text IS NOT NULL"
            return Relation(Sql(f"{labels} UNION ALL {texts}", rows.params * 2))


def score(value: Score, facts: Facts) -> Relation:
    """Return the latest score of each person."""
    (other,) = set(SIGNS) - {value.word}
    own, foreign = _named("a.question", value.word), _named("a.question", other)
    survey = _named("a.survey", value.word)
    named = f"({own.text} OR ({survey.text} AND NOT {foreign.text}))"
    told = f"(a.measure = ? OR (a.measure IS NULL AND {named}))"
    text = f"{_live(facts)} AND a.kind = 'score' AND a.number IS NOT NULL AND {told}"
    rows = _rows(Sql(text, (value.word, *own.params, *survey.params, *foreign.params)), facts, every=False)
    return Relation(Sql(f"SELECT p, number AS v FROM ({rows.text})", rows.params))


def _named(column: str, word: str) -> Sql:
    signs = SIGNS[word]
    return Sql("(" + " OR ".join(f"lower(coalesce({column}, '')) LIKE ?" for _ in signs) + ")", signs)


def _live(facts: Facts) -> str:
    facts.today("deleted answers")
    return f"a.profile_id IS NOT NULL AND a.deleted_at IS NULL{facts.seen('a.stream_id')}"


def _rows(where: Sql, facts: Facts, *, every: bool) -> Sql:
    """Return answers up to the run's clock: all, or the latest of each person (an undated one is the oldest)."""
    turn = "row_number() OVER (PARTITION BY a.profile_id ORDER BY coalesce(a.answered_at, 0) DESC, a.id DESC)"
    text = (
        f"SELECT a.profile_id AS p, a.kind, a.choice, a.text, a.number, {'1' if every else turn} AS turn FROM answers a "
        f"WHERE {where.text} AND coalesce(a.answered_at, 0) <= ?"
    )
    return Sql(f"SELECT * FROM ({text}) WHERE turn = 1", (*where.params, facts.as_of_us))
