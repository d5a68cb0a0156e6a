"""Every request that the tests see, held against JSON Schemas written from the vendor's reference: it publishes no document."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "schemas").glob("*.json")}
REQUESTS = {
    r"GET /api/2/export": "export",
    r"GET /api/2/events/list": "nothing",
    r"GET /api/3/cohorts": "nothing",
    r"POST /api/3/cohorts/upload": "cohort_upload",
    r"POST /api/3/cohorts/membership": "cohort_membership",
    r"GET /api/5/cohorts/request/\w+": "cohort_request",
    r"GET /api/5/cohorts/request-status/\w+": "nothing",
    r"GET /api/5/cohorts/request/\w+/file": "nothing",
    r"GET /storage/\w+": "nothing",
    r"POST /identify": "identify",
    r"POST /api/2/deletions/users": "deletion",
}
"""What may be asked, and the schema of its query, JSON or form."""


class Recorder:
    """An ASGI application that writes down what is asked before passing it on."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.seen: list[tuple[str, Any, dict[str, str]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = bytearray()

        async def listen() -> Any:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":  # before the client can go on
                headers = {name.decode(): value.decode() for name, value in scope["headers"]}
                what = _said(headers.get("content-type", ""), scope["query_string"], bytes(body))
                self.seen.append((f"{scope['method']} {scope['path']}", what, headers))
            await send(message)

        await self.app(scope, listen, answer)

    def said(self, request: str) -> list[Any]:
        """Return what was said with each *request* (`METHOD /path`, a pattern), oldest first."""
        return [what for asked, what, _ in self.seen if re.fullmatch(request, asked)]

    def problems(self) -> list[str]:
        """Return what is wrong with the requests seen, by the schemas."""
        found = []
        for asked, what, _ in self.seen:
            name = next((name for pattern, name in REQUESTS.items() if re.fullmatch(pattern, asked)), None)
            if name is None:
                found.append(f"{asked} is not in the card")
            else:
                found += [f"{asked}: {error.message}" for error in Draft202012Validator(SCHEMAS[name]).iter_errors(what)]
        return found


def _said(kind: str, query: bytes, body: bytes) -> Any:
    if "json" in kind:
        return json.loads(body)
    if "form" in kind:
        form = dict(parse_qsl(body.decode()))
        return {**form, "identification": json.loads(form["identification"])}
    return dict(parse_qsl(query.decode()))
