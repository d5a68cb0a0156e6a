"""
What a response means: each answer with its question's text, and who gave it.

Pure functions of the vendor's JSON. Whatever tells who somebody is comes from a visitor's browser: claims, all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any, Final

from connectors.typeform.forms import Form
from connectors.typeform.paging import sent_at, token_of
from core.contract import Json, Kind, Record, Row

SCORES: Final = frozenset({"nps", "opinion_scale", "rating"})
"""Types of questions whose number is a score. The number is as given, on the question's own scale (Quirk 8)."""
NPS: Final = "nps"
"""The type of the question that is one, in whatever language it is asked."""


@dataclass(frozen=True, slots=True)
class Who:
    """Where a response says whose it is."""

    user_id: Sequence[str]
    """Hidden fields that hold the product's user id, best first."""
    email: Sequence[str]
    """Hidden fields that hold an address, best first."""
    questions: Sequence[str]
    """Refs of the questions that ask for one's own address; none: the form's only question for an address."""

    @property
    def mark(self) -> str:
        """A fingerprint, to see that the settings changed."""
        return blake2b(repr((*self.user_id, None, *self.email, None, *self.questions)).encode(), digest_size=4).hexdigest()


def labelled(item: Json, form: Form, who: Who) -> dict[str, Any]:
    """Return a response with its form's title, its questions' texts and types, and whom it says it is from."""
    answers = [_labelled_answer(answer, form) for answer in item.get("answers") or ()]  # Quirk 5: null, or not there
    hidden = item.get("hidden") or {}
    return {
        **item,
        "token": token_of(item),
        "submitted_at": item.get("submitted_at") if sent_at(item) else None,
        "form": {"id": form.id, "title": form.title},
        "answers": answers,
        "respondent": {
            "user_id": next((hidden[name] for name in who.user_id if hidden.get(name)), None),
            "email": [hidden[name] for name in who.email if hidden.get(name)] + _typed_addresses(answers, form, who),
        },
    }


def _labelled_answer(answer: Json, form: Form) -> dict[str, Any]:
    field = answer.get("field") or {}
    names = [str(field[name]) for name in ("id", "ref") if field.get(name)]  # Quirk 7: old forms have no refs
    known = next((name for name in names if name in form.texts), None)
    type_ = field.get("type") or (form.types[known] if known else None)
    text = (form.texts[known] if known else None) or field.get("title") or field.get("ref") or field.get("id")  # Quirk 10
    return {**answer, "field": {**field, "type": type_, "title": text}}


def _typed_addresses(answers: Sequence[Json], form: Form, who: Who) -> list[str]:
    """Return the addresses that the person typed as their own."""
    typed = [answer for answer in answers if answer.get("type") == "email" and answer.get("email")]
    if who.questions:
        return [answer["email"] for answer in typed if answer["field"].get("ref") in who.questions]
    # Quirk 11: of several, one may be a friend's or the boss's, and no type says which
    return [answer["email"] for answer in typed if answer["field"].get("id") == form.own_address]


def key(record: Record) -> str:
    """Return form and token: a token is unique only within its form (Quirk 4)."""
    return f"{record['form']['id']}/{record['token']}"


def rows(record: Record) -> Iterator[Row]:
    """Yield one row an answered question; none of a form that was never sent."""
    if not record.get("submitted_at"):
        return
    for answer in sorted(record["answers"], key=lambda one: one["field"]["type"] == NPS):  # Quirk 12: NPS is the latest
        values = _values(answer)
        if values is not None:
            told = {
                "survey": record["form"]["title"],
                "question": answer["field"]["title"],
                "answered_at": record["submitted_at"],
            }
            yield Row(Kind.ANSWER, str(answer["field"].get("id") or answer["field"].get("ref")), {**told, **values})


def _values(answer: Json) -> Mapping[str, object] | None:
    """Return kind and value; None for an answer without one, and for a type that is not known."""
    value: Any = answer.get(answer.get("type") or "")
    match value:
        case bool():
            return {"kind": "boolean", "number": value}
        case int() | float():
            type_ = answer["field"]["type"]
            measure = {"measure": NPS} if type_ == NPS else {}
            return {"kind": "score" if type_ in SCORES else "number", "number": value, **measure}
        case str() if value:
            return {"kind": "text", "text": value}
        case {"amount": amount}:
            return {"kind": "number", "number": _decimal(amount)}
        case {"labels": [*labels]}:
            return {"kind": "choice", "choice": [*labels, *_other(value)]}
        case {"label": str(label)}:
            return {"kind": "choice", "choice": [label, *_other(value)]}
        case {"other": str()}:
            return {"kind": "choice", "choice": _other(value)}
        case _:
            return None


def _other(chosen: Any) -> list[str]:
    """Return what was written beside "Other": a label like any."""
    other = chosen.get("other")
    return [other] if isinstance(other, str) and other else []


def _decimal(text: object) -> float | None:
    try:
        return float(Decimal(str(text)))
    except InvalidOperation:
        return None
