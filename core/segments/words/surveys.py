"""Words of surveys: the latest answer of a person, or any with `any=True`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from core.contract import Kind
from core.segments.tree import Answer, Answered, Score
from core.segments.words.entry import Entry

if TYPE_CHECKING:
    from core.segments.reader import Reader
    from core.segments.words.call import Call


def score_word(reader: Reader, node: ast.expr, word: str) -> Score:
    """`nps`, `csat`: the latest score."""
    _need_answers(reader, node, word)
    return Score(word)


def answered(call: Call) -> Answered:
    """`answered("Onboarding", last="30d")`."""
    _need_answers(call.reader, call.node, "answered")
    survey = call.text(0, "the name of a survey")
    window = call.window()
    call.end(1)
    return Answered(survey, window)


def answer(call: Call) -> Answer:
    """`answer("Onboarding", "role")`; one value for each label of a multiple choice."""
    _need_answers(call.reader, call.node, "answer")
    survey, question = call.text(0, "the name of a survey"), call.text(1, "a question of it")
    every = call.flag("any")
    call.end(2)
    return Answer(survey, question, every)


def _need_answers(reader: Reader, node: ast.expr, word: str) -> None:
    if not reader.scope.vocabulary.feeding(Kind.ANSWER):
        raise reader.error(node, f"no configured stream brings answers, which {word} is made of", "add a survey connection")


ENTRIES: Final = (
    Entry("nps", "nps", "The latest score of an NPS question, 0 to 10.", "nps >= 9"),
    Entry("csat", "csat", "The latest score of a CSAT question.", "csat <= 2"),
    Entry(
        "answered",
        "answered(SURVEY, ...)",
        "There is an answer to the survey.",
        'answered("Onboarding", last="30d")',
        window=True,
    ),
    Entry(
        "answer",
        "answer(SURVEY, QUESTION, any=True)",
        "The latest answer, or with `any=True` every one; of a multiple choice each label chosen.",
        'answer("Onboarding", "role") != "Student"',
    ),
)
