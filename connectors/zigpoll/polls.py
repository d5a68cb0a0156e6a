"""What polls and their slides are called: Zigpoll's words for surveys and questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from html.parser import HTMLParser
from typing import Any, Final

from connectors.zigpoll.listing import pages
from core.contract import Api, Json

ADDRESS: Final = "email-capture"
"""The type of the slide that asks for an e-mail address."""


@dataclass(frozen=True, slots=True)
class Slide:
    """One question."""

    title: str
    type: str
    labels: frozenset[str]
    """The titles of its answers."""


@dataclass(frozen=True, slots=True)
class Polls:
    """The polls of an account."""

    titles: Mapping[str, str]
    """Title by poll."""
    slides: Mapping[str, Slide]

    @property
    def wording(self) -> str:
        """A fingerprint of all that answers are labelled and read with."""
        parts = [f"{at}\x1f{self.titles[at]}" for at in sorted(self.titles)]
        for at in sorted(self.slides):
            slide = self.slides[at]
            parts.append("\x1f".join((at, slide.title, slide.type, *sorted(slide.labels))))
        return blake2b("\x1e".join(parts).encode(), digest_size=8).hexdigest()

    def asking_for_addresses(self) -> Sequence[str]:
        """Return the slides on which people type an e-mail address."""
        return sorted(at for at, slide in self.slides.items() if slide.type == ADDRESS)


def read_polls(api: Api, account: str) -> Polls:
    """Ask for the polls and the slides of an account (`GET /polls`, `GET /slides`)."""
    titles = {at: plain(poll.get("title")) or at for poll in _all(api, "/polls", account) if (at := str(poll["_id"]))}
    slides = {at: read_slide(slide, at) for slide in _all(api, "/slides", account) if (at := str(slide["_id"]))}
    return Polls(titles, slides)


def _all(api: Api, path: str, account: str) -> list[Json]:
    return [row for found, _ in pages(api, path, accountId=account) for row in found]


def read_slide(slide: Json, at: str) -> Slide:
    """Return the question that a slide is; *at* is its id."""
    labels = (plain(answer.get("title")) for answer in slide.get("answers") or ())
    return Slide(plain(slide.get("title")) or at, str(slide.get("type") or ""), frozenset(filter(None, labels)))


class _Text(HTMLParser):
    """Collects what is not a tag."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def plain(value: Any) -> str:
    """Return a text without its markup (Quirk 6), "" for nothing."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    if "<" not in value and "&" not in value:
        return value.strip()
    parser = _Text()
    parser.feed(value)
    parser.close()
    return " ".join("".join(parser.parts).split())
