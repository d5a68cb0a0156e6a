"""
A paginated API on loopback for `bench/pull.py`, in a process of its own so that its work is not the client's.

Every page is made beforehand; serving one costs a dictionary look-up. `GET /contacts?page=N` gives
`{"contacts": [...], "paging": {"next": "N+1"}}`, without `next` on the last page; `GET /events` likewise.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

COUNTRIES = ("SE", "NO", "DK", "FI", "DE")


NAMES = ("Page Viewed", "Signed Up", "Project Launched", "Team Invited", "Task Created")
PEOPLE = 50_000
"""Who the events are of."""


def contact(number: int, companies: int) -> dict[str, Any]:
    """Return made-up contact *number*, of about the size that a CRM sends, in one of *companies*."""
    minute, hour, day = number // 60 % 60, number % 24, number % 28 + 1
    return {
        "id": str(number),
        "email": f"person{number}@shop{number % 5000}.example.com",
        "first_name": f"First{number % 977}",
        "last_name": f"Last{number % 3571}",
        "country": COUNTRIES[number % 5],
        "language": "sv",
        "job_title": "Operations",
        "company_id": str(number % companies),
        "lifecycle_stage": "customer" if number % 3 else "lead",
        "score": number % 100,
        "active": number % 2 == 0,
        "created_at": f"2025-{number % 12 + 1:02d}-{day:02d}T08:00:00Z",
        "updated_at": f"2026-06-{day:02d}T{hour:02d}:{minute:02d}:{number % 60:02d}.{number % 1000:03d}Z",
        "address": {"city": f"City{number % 500}", "zip": f"{10000 + number % 80000}"},
        "note": "Met at the fair; asked for the price of ten seats.",
    }


def event(number: int) -> dict[str, Any]:
    """Return made-up event *number*, of about the size that an analytics tool sends."""
    hour, minute, second = number // 3600 % 24, number // 60 % 60, number % 60
    return {
        "id": f"e{number}",
        "event": NAMES[number % 5],
        "time": f"2026-{number % 6 + 1:02d}-{number % 28 + 1:02d}T{hour:02d}:{minute:02d}:{second:02d}Z",
        "user": f"u{number * 7919 % PEOPLE}",
        "properties": {"path": f"/page/{number % 400}", "ms": number % 3000, "plan": "pro" if number % 7 else "free"},
    }


def pages(kind: str, records: int, page_size: int, companies: int) -> dict[bytes, bytes]:
    """Return the body of each page of contacts or events by its number."""
    last = -(-records // page_size)
    result = {}
    for page in range(1, last + 1):
        numbers = range((page - 1) * page_size, min(page * page_size, records))
        rows = [event(number) if kind == "events" else contact(number, companies) for number in numbers]
        paging = {"next": str(page + 1)} if page < last else {}
        result[str(page).encode()] = json.dumps({kind: rows, "paging": paging}).encode()
    return result


def _serve(port: int, kind: str, records: int, page_size: int, companies: int) -> None:
    import uvicorn

    bodies = pages(kind, records, page_size, companies)
    nothing = json.dumps({kind: [], "paging": {}}).encode()
    headers = [(b"content-type", b"application/json")]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        query = dict(part.split(b"=", 1) for part in scope["query_string"].split(b"&") if b"=" in part)
        body = bodies.get(query.get(b"page", b"1"), nothing)
        await send(
            {"type": "http.response.start", "status": 200, "headers": [*headers, (b"content-length", b"%d" % len(body))]}
        )
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")


@contextmanager
def serving(kind: str, records: int, page_size: int, companies: int) -> Iterator[str]:
    """Serve *kind* (contacts, events) while the block runs; gives the base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = (port, kind, records, page_size, companies)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
    process.start()
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise SystemExit("the loopback server did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()
