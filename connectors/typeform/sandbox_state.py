"""What the sandbox of Typeform holds: forms with their questions, answers by form and token, in the vendor's shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from core.contract import Json

TYPES: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "nps": ("nps", {"steps": 11, "start_at_one": False}),
    "rating": ("rating", {"steps": 5, "shape": "star"}),
    "opinion": ("opinion_scale", {"steps": 11, "start_at_one": False}),
    "choice": ("multiple_choice", {"allow_multiple_selection": False, "allow_other_choice": True}),
    "choices": ("multiple_choice", {"allow_multiple_selection": True, "allow_other_choice": True}),
    "text": ("long_text", {}),
    "number": ("number", {}),
    "yes_no": ("yes_no", {}),
    "email": ("email", {}),
}
"""Neutral kind of a question to the vendor's type and its properties."""


@dataclass
class FormState:
    """One form and its answers."""

    id: str
    title: str = ""
    questions: list[Mapping[str, Any]] = field(default_factory=list)
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    updated_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    responses: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By token, as they were loaded."""
    asked: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Every question that it ever had, by id."""


class State:
    """
    The account.

    *titles* says whether an answer carries its question's title, as the published document has it and the examples have not.
    """

    def __init__(self, now: Callable[[], datetime], *, titles: bool) -> None:
        self._now = now
        self._titles = titles
        self.forms: dict[str, FormState] = {}

    def load_form(self, row: Mapping[str, Any]) -> None:
        form = self.forms.setdefault(row["id"], FormState(row["id"], created_at=row.get("created_at") or self._now()))
        form.title = row.get("title", form.title)
        if "questions" in row:
            form.questions = [dict(question) for question in row["questions"]]
            form.asked |= {question["id"]: question for question in form.questions}
        form.updated_at = row.get("updated_at") or self._now()

    def load_response(self, row: Mapping[str, Any]) -> None:
        form = self.forms[row["survey"]]
        response = form.responses.setdefault(row["id"], {"id": row["id"], "submitted_at": self._now(), "answers": {}})
        response |= row

    def listed(self, lag_until: datetime) -> Callable[[FormState], list[dict[str, Any]]]:
        """Return how a form's answers are listed, newest first; those sent after *lag_until* are not indexed yet."""

        def of(form: FormState) -> list[dict[str, Any]]:
            found = [one for one in form.responses.values() if one["submitted_at"] is None or one["submitted_at"] <= lag_until]
            return sorted(found, key=lambda one: (_second(one), one["id"]), reverse=True)

        return of

    # shapes

    def form_json(self, form: FormState) -> Json:
        fields = [_field(question) for question in form.questions]
        grouped = [question for question in form.questions if question.get("group")]
        if grouped:  # questions inside a group stand in its properties
            inner = [made for made, question in zip(fields, form.questions, strict=True) if question.get("group")]
            outer = [made for made, question in zip(fields, form.questions, strict=True) if not question.get("group")]
            group = {"id": "group", "ref": "group", "title": "About you", "type": "group", "properties": {"fields": inner}}
            fields = [*outer, group]
        return {"id": form.id, "title": form.title, "type": "form", "hidden": ["user_id", "email"], "fields": fields}

    def listing_json(self, form: FormState, base: str) -> Json:
        return {
            "id": form.id,
            "type": "form",
            "title": form.title,
            "created_at": stamp(form.created_at),
            "last_updated_at": stamp(form.updated_at),
            "settings": {"is_public": True},
            "self": {"href": f"{base}/forms/{form.id}"},
            "theme": {"href": f"{base}/themes/default"},
            "_links": {"display": f"https://example.com/to/{form.id}", "responses": f"{base}/forms/{form.id}/responses"},
        }

    def response_json(self, form: FormState, row: Mapping[str, Any]) -> Json:
        hidden = {name: row[name] for name in ("user_id", "email") if row.get(name)} | dict(row.get("hidden") or {})
        sent = row["submitted_at"]
        answers = [self._answer(form.asked[at], value) for at, value in row["answers"].items() if value is not None]
        made: dict[str, Any] = {
            "landing_id": row["id"],
            "token": row["id"],
            "response_id": row["id"],
            "landed_at": stamp(sent or self._now()),
            "submitted_at": stamp(sent) if sent else "0001-01-01T00:00:00Z",
            "metadata": {"platform": "other", "browser": "default", "network_id": row["id"].encode().hex()[:10]},
            "hidden": hidden,
            "calculated": {"score": 0},
            "variables": [],
        }
        if answers or len(row["id"]) % 2:
            made["answers"] = answers or None
        return made

    def _answer(self, question: Mapping[str, Any], value: Any) -> Json:
        type_ = TYPES[question["kind"]][0]
        about = {"id": question["id"], "type": type_}
        if question.get("ref", question["id"]):
            about["ref"] = question.get("ref", question["id"])
        if self._titles:
            about["title"] = question["text"]
        return {"field": about, **_value(question, value)}


def _field(question: Mapping[str, Any]) -> Json:
    type_, properties = TYPES[question["kind"]]
    choices = [
        {"id": f"{question['id']}{n}", "ref": f"choice{n}", "label": label}
        for n, label in enumerate(question.get("choices") or ())
    ]
    made = {"id": question["id"], "title": question["text"], "type": type_, "properties": {**properties}}
    if question.get("ref", question["id"]):
        made["ref"] = question.get("ref", question["id"])
    if choices:
        made["properties"]["choices"] = choices
    return made


def _value(question: Mapping[str, Any], value: Any) -> Json:
    known = question.get("choices") or ()
    match question["kind"]:
        case "choice":
            return {"type": "choice", "choice": {"label" if value in known else "other": value}}
        case "choices":
            others = [label for label in value if label not in known]
            labels = [label for label in value if label in known]
            return {"type": "choices", "choices": {"labels": labels, **({"other": others[0]} if others else {})}}
        case "yes_no":
            return {"type": "boolean", "boolean": value}
        case "text" | "email" as kind:
            return {"type": kind, kind: value}
        case _:
            return {"type": "number", "number": value}


def stamp(at: datetime) -> str:
    """Return *at* as the vendor writes it: UTC, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _second(row: Mapping[str, Any]) -> datetime:
    at: datetime = row["submitted_at"] or datetime(1, 1, 1, tzinfo=UTC)
    return at.replace(microsecond=0)
