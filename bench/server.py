"""
A paginated API on loopback for `bench/pull.py`, in a process of its own so that its work is not the client's.

Every page is made beforehand; serving one costs a dictionary look-up. `GET /contacts?page=N` gives
`{"contacts": [...], "paging": {"next": "N+1"}}`, without `next` on the last page.
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


def contact(number: int) -> dict[str, Any]:
    """Return made-up contact *number*, of about the size that a CRM sends."""
    minute, hour, day = number // 60 % 60, number % 24, number % 28 + 1
    return {
        "id": str(number),
        "email": f"person{number}@shop{number % 5000}.example.com",
        "first_name": f"First{number % 977}",
        "last_name": f"Last{number % 3571}",
        "country": COUNTRIES[number % 5],
        "language": "sv",
        "job_title": "Operations",
        "company_id": str(number % 5000),
        "lifecycle_stage": "customer" if number % 3 else "lead",
        "score": number % 100,
        "active": number % 2 == 0,
        "created_at": f"2025-{number % 12 + 1:02d}-{day:02d}T08:00:00Z",
        "updated_at": f"2026-06-{day:02d}T{hour:02d}:{minute:02d}:{number % 60:02d}.{number % 1000:03d}Z",
        "address": {"city": f"City{number % 500}", "zip": f"{10000 + number % 80000}"},
        "note": "Met at the fair; asked for the price of ten seats.",
    }


def pages(records: int, page_size: int) -> dict[bytes, bytes]:
    """Return the body of each page by its number."""
    last = -(-records // page_size)
    result = {}
    for page in range(1, last + 1):
        rows = [contact(n) for n in range((page - 1) * page_size, min(page * page_size, records))]
        paging = {"next": str(page + 1)} if page < last else {}
        result[str(page).encode()] = json.dumps({"contacts": rows, "paging": paging}).encode()
    return result


def _serve(port: int, records: int, page_size: int) -> None:
    import uvicorn

    bodies = pages(records, page_size)
    headers = [(b"content-type", b"application/json")]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        query = dict(part.split(b"=", 1) for part in scope["query_string"].split(b"&") if b"=" in part)
        body = bodies.get(query.get(b"page", b"1"), b'{"contacts": [], "paging": {}}')
        await send(
            {"type": "http.response.start", "status": 200, "headers": [*headers, (b"content-length", b"%d" % len(body))]}
        )
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")


@contextmanager
def serving(records: int, page_size: int) -> Iterator[str]:
    """Serve while the block runs; gives the base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(port, records, page_size), daemon=True)
    process.start()
    try:
        deadline = time.monotonic() + 60
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
