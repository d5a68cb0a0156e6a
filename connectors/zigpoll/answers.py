"""
What a response means: one answered slide, with its poll's and its slide's titles, and who gave it.

Pure functions of the vendor's JSON. All that tells who somebody is can be written by anybody: claims.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from connectors.zigpoll.polls import Polls, Slide, plain
from core.contract import Json, Kind, Record, Row

SCORES: Final = frozenset({"range", "satisfaction", "slider", "star-rating"})
"""Types of slides whose answer is a number on the slide's own scale."""
CHOSEN: Final = "vote"
"""The `valueType` of a chosen option; anything else is text (Quirk 7)."""
UNKNOWN: Final = Slide("", "", frozenset())


@dataclass(frozen=True, slots=True)
class Who:
    """Where a response says whose it is."""

    user_id: Sequence[str]
    """Keys of its metadata that hold the product's user id, best first."""
    email: Sequence[str]
    """Keys of its metadata that hold an address, best first."""

    @property
    def mark(self) -> str:
        """A fingerprint, to see that the settings changed."""
        return blake2b(repr((*self.user_id, None, *self.email)).encode(), digest_size=4).hexdigest()


def labelled(item: Json, polls: Polls, who: Who, typed: str | None) -> dict[str, Any]:
    """
    Return a response with its texts, its submission, and whom it says it is from.

    *typed* is the address that the same participant typed into the same poll about then.
    """
    poll, participant = str(item.get("pollId") or ""), str(item.get("participantId") or "")
    slide = polls.slides.get(str(item.get("slideId") or ""), UNKNOWN)
    metadata = item.get("metadata") or {}
    return {
        **item,
        "submission": f"{poll}/{participant}" if participant else str(item["_id"]),
        "poll": {"title": polls.titles.get(poll) or poll or None},
        "slide": {"title": slide.title or item.get("slideId"), "type": slide.type},
        "values": [dict(value) for value in _values(item, slide)],
        "respondent": {
            "user_id": next((metadata[name] for name in who.user_id if metadata.get(name)), None),
            "email": [*(metadata[name] for name in who.email if metadata.get(name)), *([typed] if typed else [])],
        },
    }


def rows(record: Record) -> Iterator[Row]:
    """Yield a row for what was answered; one for each line of a matrix."""
    for value in record["values"]:
        told = {"survey": record["poll"]["title"], "question": record["slide"]["title"], "answered_at": record["createdAt"]}
        line = value.get("line")
        if line:
            told["question"] = f"{told['question']}: {line}"
        key = f"{record['_id']}/{line}" if line else str(record["_id"])
        yield Row(Kind.ANSWER, key, {**told, **{name: value[name] for name in value if name != "line"}})


def _values(item: Json, slide: Slide) -> Iterator[Mapping[str, object]]:
    chosen = [answer for answer in item.get("answers") or () if isinstance(answer, Mapping)]
    text = plain(item.get("response"))
    lines = list(dict.fromkeys(_line(answer) for answer in chosen))
    if any(lines):
        for line in lines:
            yield {"line": line, "kind": "choice", "choice": [_label(one) for one in chosen if _line(one) == line]}
    elif slide.type in SCORES and (number := _number(chosen, text)) is not None:
        yield {"kind": "score", "number": number}
    elif item.get("valueType") == CHOSEN or chosen:
        labels = [_label(answer) for answer in sorted(chosen, key=_rank)] or _split(text, slide)
        if any(labels):
            yield {"kind": "choice", "choice": [label for label in labels if label]}
    elif text:
        yield {"kind": "text", "text": text}


def _line(answer: Mapping[str, Any]) -> str:
    """Return which line of a matrix an answer is of."""
    return plain(answer.get("rowTitle")) or str(answer.get("rowHandle") or "")


def _label(answer: Mapping[str, Any]) -> str:
    return plain(answer.get("title")) or plain(answer.get("value")) or str(answer.get("handle") or "")


def _rank(answer: Mapping[str, Any]) -> float:
    rank = answer.get("rank")
    return float(rank) if isinstance(rank, int | float) else 0.0


def _split(text: str, slide: Slide) -> list[str]:
    """Return the labels in the text of several, where its parts are known ones: a label may hold a comma (Quirk 5)."""
    if text in slide.labels:
        return [text]
    parts = [part.strip() for part in text.split(", ")]
    return parts if all(part in slide.labels for part in parts) else [text]


def _number(chosen: Sequence[Mapping[str, Any]], text: str) -> float | None:
    """Return the number of a scale: what the one answer is worth, else its title, else the text."""
    told = [chosen[0].get("value"), chosen[0].get("title")] if len(chosen) == 1 else []
    for value in (*told, text):
        try:
            return float(value)  # type: ignore[arg-type]  # None and the like are refused below
        except (TypeError, ValueError):
            continue
    return None
