"""What a small Mixpanel project holds: profiles, events, and how they are written into an export. No HTTP here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from core.contract import ListChange

DEVICE = "$device:"
BULK_EVENT = "Bulk Made"
BULK_PEOPLE = 5_000
LINES = 200
"""Lines that are sent together."""


@dataclass(slots=True)
class Happened:
    """One event as it was sent in."""

    id: str
    name: str
    at: datetime
    uploaded_at: datetime
    user_id: str | None
    device_id: str | None
    insert_id: str | None
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def sent_as(self) -> str:
        return self.user_id or f"{DEVICE}{self.device_id}"


@dataclass(slots=True)
class Bulk:
    """Made-up events, one as long after the other as the next, made when they are asked for."""

    count: int
    days: int
    now: Callable[[], datetime]

    def lines(self, start: datetime, end: datetime, stamp: Callable[[datetime], int]) -> Iterator[bytes]:
        """Yield the events from *start* up to *end*, some hundred lines at a time."""
        first = self.now() - timedelta(days=self.days)
        step = timedelta(days=self.days) / self.count
        low, high = (min(max(-((first - edge) // step), 0), self.count) for edge in (start, end))
        for at in range(low, high, LINES):
            yield b"".join(self._line(n, stamp(first + n * step)) for n in range(at, min(at + LINES, high)))

    def _line(self, n: int, stamped: int) -> bytes:
        who = f"bulk-{n * 7919 % BULK_PEOPLE}"
        taken = stamped * 1000 if stamped < 10**11 else stamped
        return (
            f'{{"event":"{BULK_EVENT}","properties":{{"time":{stamped},"distinct_id":"{who}","$insert_id":"bulk-{n}",'
            f'"$user_id":"{who}","$device_id":"d-{who}","$city":"Oslo","mp_country_code":"NO","mp_lib":"web",'
            f'"mp_processing_time_ms":{taken},"path":"/page/{n % 40}","ms":{n % 900}}}}}\n'
        ).encode()


class Project:
    """
    The state of one project.

    Args:
        old: whether days begin at the project's midnight; events are then dated by its wall clock too, but for *wall_clock*.
    """

    def __init__(
        self, now: Callable[[], datetime], log: list[ListChange], *, zone: ZoneInfo, old: bool, wall_clock: bool, bulk: Bulk
    ) -> None:
        self.now, self.log, self.zone, self.old, self.wall_clock, self.bulk = now, log, zone, old, wall_clock, bulk
        self.profiles: dict[str, dict[str, Any]] = {}
        self.events: dict[str, Happened] = {}
        self.called: dict[str, str] = {}
        """What an id is called since it was merged."""

    # What comes in -------------------------------------------------------------------------------------------------

    def load_user(self, row: Mapping[str, Any]) -> None:
        profile = self.profiles.setdefault(str(row["id"]), {})
        named = {
            "email": "$email", "first_name": "$first_name", "last_name": "$last_name", "country": "$country_code",
            "phone": "$phone",
        }  # fmt: skip
        profile |= {name: row[key] for key, name in named.items() if row.get(key) is not None} | row.get("extra", {})
        if row.get("created_at"):
            profile["$created"] = stamp_of(row["created_at"])
        profile["$last_seen"] = stamp_of(row.get("updated_at") or self.now())

    def load_event(self, row: Mapping[str, Any]) -> None:
        id_ = str(row["id"])
        known = self.events.get(id_)
        old: Mapping[str, Any] = {} if known is None else {name: getattr(known, name) for name in known.__slots__}
        merged = {**old, **{key: value for key, value in row.items() if value is not None or key in ("user_id", "insert_id")}}
        user_id = merged.get("user_id")
        self.events[id_] = Happened(
            id_, merged["name"], merged["at"], merged.get("uploaded_at") or merged["at"], user_id and str(user_id),
            merged.get("device_id") or (None if user_id else f"d-{id_}"), merged.get("insert_id", id_),
            dict(merged.get("properties") or {}),
        )  # fmt: skip

    def merge(self, loser: str, winner: str) -> None:
        """Call everything of *loser* by *winner*, in exports of old days too."""
        self.called |= {old: winner for old, new in self.called.items() if new == loser} | {loser: winner}
        self.profiles.setdefault(winner, {}).update(
            {key: value for key, value in self.profiles.pop(loser, {}).items() if key not in self.profiles.get(winner, {})}
        )

    def forget_properties(self, id_: str, names: Iterable[str]) -> None:
        """Take properties away, as an update with `$unset` does."""
        profile = self.profiles.get(self.called.get(id_, id_), {})
        for name in names:
            profile.pop(name, None)

    def update(self, id_: str, values: Mapping[str, Any], *, silent: bool) -> None:
        """Set properties, as an update does: whoever was not there is there now."""
        profile = self.profiles.setdefault(self.called.get(id_, id_), {})
        for name, value in values.items():
            if isinstance(value, bool) and (profile.get(name) is True) is not value:
                self.log.append(ListChange(name, "add" if value else "remove", id_))
            profile[name] = value
        if not silent:
            profile["$last_seen"] = stamp_of(self.now())

    # What goes out -------------------------------------------------------------------------------------------------

    def edges(self, first: date, last: date) -> tuple[datetime, datetime]:
        """Return when the days *first* to *last* begin and end."""
        zone = self.zone if self.old else UTC
        return datetime.combine(first, time.min, zone), datetime.combine(last + timedelta(days=1), time.min, zone)

    def exported(self, first: date, last: date, *, ms: bool, twice_every: int = 0) -> Iterator[bytes]:
        """Yield the lines of some days in no order; each *twice_every*-th event comes again at the end, taken in earlier."""
        start, end = self.edges(first, last)
        now = self.now()
        found = [one for one in self.events.values() if start <= one.at < end and one.uploaded_at <= now]
        found.sort(key=lambda one: blake2b(one.id.encode(), digest_size=8).digest())
        stamp = self._stamp_ms if ms else self._stamp_s
        lines = [self._line(one, stamp) for one in found]
        again = [self._line(one, stamp, earlier_ms=60_000) for one in found[::twice_every]] if twice_every else []
        return self._sent(lines + again, self.bulk.lines(start, end, stamp) if self.bulk.count else iter(()))

    def _sent(self, lines: list[bytes], bulk: Iterator[bytes]) -> Iterator[bytes]:
        yield from lines
        yield from bulk

    def _stamp_s(self, at: datetime) -> int:
        return int((at.astimezone(self.zone).replace(tzinfo=UTC) if self.wall_clock else at).timestamp())

    def _stamp_ms(self, at: datetime) -> int:
        said = at.astimezone(self.zone).replace(tzinfo=UTC) if self.wall_clock else at
        return (said - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    def _line(self, one: Happened, stamp: Callable[[datetime], int], *, earlier_ms: int = 0) -> bytes:
        told = {"$insert_id": one.insert_id, "$user_id": one.user_id, "$device_id": one.device_id}
        properties = {
            **one.properties,
            "time": stamp(one.at),
            "distinct_id": self.called.get(one.sent_as, one.sent_as),
            **{name: value for name, value in told.items() if value is not None},
            "mp_lib": "web",
            "mp_processing_time_ms": int(one.uploaded_at.timestamp() * 1000) - earlier_ms,
        }
        return json.dumps({"event": one.name, "properties": properties}, separators=(",", ":")).encode() + b"\n"

    def flags(self) -> dict[str, frozenset[str]]:
        """Return who has each yes-or-no property true."""
        names = {name for profile in self.profiles.values() for name, value in profile.items() if isinstance(value, bool)}
        return {name: frozenset(id_ for id_, profile in self.profiles.items() if profile.get(name) is True) for name in names}


def stamp_of(at: datetime) -> str:
    """Return a time as profiles have it: UTC, whole seconds, no zone."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def broken_off(lines: Iterable[bytes], after: int, last: bytes) -> Iterator[bytes]:
    """Yield the first *after* pieces and then *last*, as if that were all: the status was 200 long ago."""
    for number, line in enumerate(lines):
        if number == after:
            yield last
            return
        yield line
    yield last
