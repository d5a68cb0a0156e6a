"""Makes the files that are sent: an export's archive, never held whole, and the list of a cohort's members."""

from __future__ import annotations

import csv
import gzip
import io
import json
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

HOUR = timedelta(hours=1)
LINES_A_FILE = 20_000
PIECE = 256 * 1024


class _Pipe(io.RawIOBase):
    """Takes what is written and gives it up again; it cannot be wound back, as the network cannot."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._kept += data
        return len(data)

    def __len__(self) -> int:
        return len(self._kept)

    def take(self) -> bytes:
        taken = bytes(self._kept)
        self._kept.clear()
        return taken


def archive(app_id: int, hours: Iterable[tuple[datetime, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield a zip of the lines of *hours*, in files named as the vendor names them."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w") as made:
        for hour, lines in hours:
            left = iter(lines)
            number = 0
            while part := list(islice(left, LINES_A_FILE)):
                name = f"{app_id}/{app_id}_{hour:%Y-%m-%d_%H}#{number}.json.gz"
                number += 1
                with (
                    made.open(name, "w") as member,
                    gzip.GzipFile(fileobj=member, mode="wb", compresslevel=1, mtime=0) as packed,
                ):
                    packed.write(b"".join(part))
                if len(pipe) > PIECE:
                    yield pipe.take()
    yield pipe.take()


def encode(event: dict[str, Any]) -> bytes:
    """Return an event as a line."""
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def members_file(members: Sequence[Mapping[str, Any]], kind: str) -> tuple[bytes, str]:
    """Return the file of a cohort's members and its content type; *kind* is csv, csv.gz, lines or array."""
    if kind == "lines":
        return b"".join(encode(dict(member)) for member in members), "application/octet-stream"
    if kind == "array":
        return json.dumps(members).encode(), "application/json"
    text = io.StringIO()
    writer = csv.DictWriter(text, ["amplitude_id", "user_id"])
    writer.writeheader()
    writer.writerows(members)
    plain = text.getvalue().encode()
    return gzip.compress(plain) if kind == "csv.gz" else plain, "text/csv"


class Bulk:
    """Events made on the fly: *amount* of them, as many each hour, the newest in the hour before *end*."""

    def __init__(self, amount: int, end: datetime, app_id: int, *, hours: int = 720, users: int = 10_000) -> None:
        self.end, self.app_id, self.users = end, app_id, users
        self.first = end - hours * HOUR
        self.amount, self.hours = amount, hours

    def numbers(self, hour: datetime) -> range:
        """Return which events were uploaded in *hour*."""
        at = (hour - self.first) // HOUR
        if not 0 <= at < self.hours:
            return range(0)
        return range(self.amount * at // self.hours, self.amount * (at + 1) // self.hours)

    def lines(self, hour: datetime) -> Iterator[bytes]:
        """Yield the events of *hour*."""
        numbers = self.numbers(hour)
        for number in numbers:
            second, user = (number - numbers.start) * 3600 // len(numbers), number * 7919 % self.users
            at = str((hour + timedelta(seconds=second)).replace(tzinfo=None))
            yield encode(
                {
                    "uuid": str(uuid.UUID(int=number + 1)), "$insert_id": f"b{number}", "app": self.app_id,
                    "amplitude_id": 700_000_000_000 + user, "user_id": f"bulk-{user}", "device_id": f"D{user:08X}",
                    "session_id": -1, "event_id": number, "event_type": ("Page Viewed", "Report created")[number % 2],
                    "event_time": at, "client_event_time": at, "server_received_time": at, "server_upload_time": at,
                    "processed_time": at, "event_properties": {"path": f"/p/{number % 50}", "ms": number % 900},
                    "user_properties": {"plan": "pro"}, "groups": {}, "group_properties": {}, "platform": "Web",
                    "os_name": "Chrome", "country": "Norway", "city": "Oslo", "ip_address": "203.0.113.9", "paying": None,
                    "data": {"first_event": False},
                }
            )  # fmt: skip
