"""Tree to text: what can be said of a part that nobody wrote as such, as those of a trait; roughly as one would write it."""

from __future__ import annotations

from typing import Any, Final

from core.clock import MICROSECOND, from_us
from core.durations import spell_duration
from core.segments.dialect import DAY_US
from core.segments.tree import (
    And,
    Answer,
    Answered,
    CompanyField,
    Compare,
    Did,
    Exists,
    In,
    InGroup,
    InSegment,
    Matches,
    Not,
    Or,
)
from core.segments.tree_constants import Ago, Literal, Moment
from core.segments.tree_events import Aggregate, EventSet, Window
from core.segments.tree_traits import DaysSince, Member, Truth

LONGEST: Final = 120


def spoken(node: Any) -> str:
    """Return a short text of *node*."""
    text = _spoken(node)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _spoken(node: Any) -> str:
    match node:
        case And() | Or():
            return f" {'and' if isinstance(node, And) else 'or'} ".join(_bracketed(item) for item in node.items)
        case Not():
            return f"not {_bracketed(node.item)}"
        case Compare():
            terms = [_spoken(term) for term in node.terms]
            if len(terms) == 2 and terms[1] == "True":
                return terms[0]
            return terms[0] + "".join(f" {op.value} {term}" for op, term in zip(node.ops, terms[1:], strict=True))
        case In():
            return f"{_spoken(node.value)} in [{', '.join(map(_spoken, node.options))}]"
        case Exists():
            return f"exists({_spoken(node.value)})"
        case Matches():
            return f"{_spoken(node.value)}.{node.how.value}({_quoted(node.text)})"
        case Truth() | Member():
            return f'segment("{node.name}")' if isinstance(node, Member) else _spoken(node.condition)
        case DaysSince():
            return f"days_since({_spoken(node.item)})"
        case InSegment():
            return f'segment("{node.name}")'
        case InGroup():
            return f'partition("{node.partition}") in [{", ".join(map(_quoted, node.groups))}]'
        case _:
            return _event_or_value(node)


def _event_or_value(node: Any) -> str:
    match node:
        case Did():
            return f"did({_events(node.events)})"
        case Aggregate():
            name, rest = _quoted(node.events.name), _events(node.events).removeprefix(_quoted(node.events.name))
            return f"{node.function.value}({name}{', ' + _quoted(node.of) if node.of else ''}{rest})"
        case Answered():
            return f"answered({_quoted(node.survey)}{_window(node.window)})"
        case Answer():
            return f"answer({_quoted(node.survey)}, {_quoted(node.question)})"
        case CompanyField():
            return f"company.{node.name}"
        case Literal():
            return _quoted(node.value) if isinstance(node.value, str) else str(node.value)
        case Moment():
            return f'date("{from_us(node.at_us):%Y-%m-%dT%H:%MZ}")'
        case Ago():
            return _ago(node)
    for name in ("text", "word", "name"):
        if isinstance(found := getattr(node, name, None), str) and found:
            return found
    return type(node).__name__.lower()


def _bracketed(node: Any) -> str:
    return f"({_spoken(node)})" if isinstance(node, And | Or) else _spoken(node)


def _events(events: EventSet) -> str:
    some = "" if events.filter is None else f", where={_spoken(events.filter)}"
    return f"{_quoted(events.name)}{some}{_window(events.window)}"


def _window(window: Window) -> str:
    after, upto = window.after, window.upto
    if isinstance(after, Ago) and isinstance(upto, Ago):
        return f", between_ago=({_ago(after)}, {_ago(upto)})"
    return f", last={_ago(after)}" if isinstance(after, Ago) else ""


def _ago(ago: Ago) -> str:
    return f'"{span(ago.us)}"'


def span(us: int) -> str:
    """Return a duration as people write them here: in days where it is whole ones."""
    return f"{us // DAY_US}d" if us % DAY_US == 0 else spell_duration(us * MICROSECOND)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
