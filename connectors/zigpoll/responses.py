"""
The stream `responses`: one record an answered slide, with its submission and one canonical answer. An account is a slice.

The checkpoint is the newest answer that was stored and how slides were worded then; a day before it is read again, for people
finish a poll later and nothing says that an answer changed. Newest first, it moves only at the slice's clean end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.zigpoll.answers import Who, labelled, rows
from connectors.zigpoll.listing import accounts, pages
from connectors.zigpoll.polls import Polls, plain, read_polls
from core.contract import Api, BadRecord, Deletions, Json, Kind, Page, Stream, midnight, parse_time
from core.errors import ProtocolError

OVERLAP: Final = timedelta(hours=24)
"""How much is read again, and how far apart two answers of one submission may be."""

Typed = Mapping[tuple[str, str], Sequence[tuple[datetime, str]]]
"""When which address was typed, by poll and participant."""


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint (without *cursor*), or how far a broken pull is."""

    newest: str | None
    """The newest answer so far, ISO 8601."""
    wording: str
    """Fingerprint of the texts, and of the settings that say whose an answer is, with which they were read."""
    cursor: str | None = None
    whole: bool = False
    """All of the account is read, although a checkpoint was given."""

    @classmethod
    def parse(cls, text: str) -> Place:
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise ProtocolError("the account's checkpoint cannot be read; pull in full") from None

    def dump(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    def seen(self, at: datetime | None) -> Place:
        """Return the place with a newer newest answer, if *at* is one."""
        known = _time(self.newest)
        return replace(self, newest=at.isoformat()) if at is not None and (known is None or at > known) else self


def responses(who: Who) -> Stream:
    """Return the stream; *who* says where a response tells whose it is."""

    def pull(api: Api, cursor: str | None, resume: str | None, account: str) -> Iterator[Page]:
        return _pull(api, cursor, resume, account, who)

    return Stream(
        "responses",
        Kind.ANSWER,
        pull=pull,
        key="_id",
        order="any",
        identifiers={"user_id": "respondent.user_id", "email": "respondent.email", "participant_id": "participantId"},
        deletions=Deletions.ABSENCE,  # Quirk 9
        full_every=timedelta(days=7),
        rows=rows,
        slices=_slices,
    )


def _slices(api: Api) -> Iterable[str]:
    return accounts(api)


def _pull(api: Api, cursor: str | None, resume: str | None, account: str, who: Who) -> Iterator[Page]:
    """Answers to all polls of an account, newest first (`GET /responses`)."""
    last = Place.parse(cursor) if cursor is not None else None
    polls = read_polls(api, account)
    wording = f"{polls.wording} {who.mark}"
    place = Place.parse(resume) if resume is not None else None
    if place is None or place.wording != wording:
        whole = last is not None and (place is not None or last.wording != wording)
        place = Place(last.newest if last is not None else None, wording, whole=whole)
    since = midnight(api.settings.start) if last is None or place.whole else _since(api, last)
    typed = _typed(api, polls, since)
    for found, following in pages(api, "/responses", place.cursor, accountId=account, createdAfter=_epoch_ms(since)):
        records, bad = [], []
        for item in found:
            at = _time(item.get("createdAt"))
            if at is None:
                bad.append(BadRecord(f"response {item.get('_id')}", "no time", str(item.get("_id"))))
                continue
            place = place.seen(min(at, api.now))  # a time to come would hide all that is answered until then
            records.append(labelled({**item, "createdAt": at.isoformat()}, polls, who, _nearest(typed, item, at)))
        place = replace(place, cursor=following)
        done = replace(place, whole=False).dump() if following is None and place.newest is not None else None
        yield Page(records, cursor=done, resume=place.dump() if following else None, bad=bad, whole=place.whole)


def _since(api: Api, last: Place) -> datetime | None:
    newest = _time(last.newest)
    return min(newest, api.now) - OVERLAP if newest is not None else None


def _typed(api: Api, polls: Polls, since: datetime | None) -> Typed:
    """Return which addresses were typed on the slides that ask for one (Quirk 8)."""
    found: dict[tuple[str, str], list[tuple[datetime, str]]] = {}
    after = _epoch_ms(since - OVERLAP if since is not None else None)
    for slide in polls.asking_for_addresses():
        for items, _ in pages(api, "/responses", slideId=slide, createdAfter=after):
            for item in items:
                at, address = _time(item.get("createdAt")), plain(item.get("response"))
                if at is not None and address:
                    found.setdefault(_whose(item), []).append((at, address))
    return found


def _nearest(typed: Typed, item: Json, at: datetime) -> str | None:
    """Return the address that the same person typed into the same poll, not more than a day apart; of several the nearest."""
    if not item.get("participantId"):
        return None
    near = [(abs(at - when), address) for when, address in typed.get(_whose(item), ()) if abs(at - when) <= OVERLAP]
    return min(near)[1] if near else None


def _whose(item: Json) -> tuple[str, str]:
    return str(item.get("pollId") or ""), str(item.get("participantId") or "")


def _time(text: object) -> datetime | None:
    return parse_time(text, zone=UTC)  # Quirk 10


def _epoch_ms(at: datetime | None) -> int | None:
    return int(at.timestamp() * 1000) if at is not None else None
