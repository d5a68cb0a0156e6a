"""Writes down what is asked of the sandbox, and holds it against the schemas made from the vendor's documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator

SCHEMAS = [json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "schemas").glob("*.json"))]


class Recorder:
    """An ASGI application that writes down what is asked before passing it on."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.seen: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = bytearray()

        async def listen() -> Any:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":  # before the client can go on
                self.seen.append(
                    {
                        "method": scope["method"],
                        "path": scope["path"],
                        "query": dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
                        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
                        "raw": bytes(body),
                    }
                )
            await send(message)

        await self.app(scope, listen, answer)

    def of(self, end: str) -> list[dict[str, Any]]:
        """Return the requests to paths that end so, oldest first; a JSON body is under `body`."""
        found = [one for one in self.seen if one["path"].endswith(end)]
        return [{**one, "body": json.loads(one["raw"]) if one["raw"][:1] == b"{" else None} for one in found]


def problems(request: dict[str, Any]) -> list[str]:
    """Return what is wrong with a request by the schema of its endpoint."""
    fits = [s for s in SCHEMAS if s["method"] == request["method"] and re.search(s["path"], request["path"])]
    if len(fits) != 1:
        return [f"{request['method']} {request['path']} is no endpoint of the card"]
    parts = {"query": request["query"], "headers": request["headers"]}
    if request["raw"]:
        parts |= (
            {"form": dict(parse_qsl(request["raw"].decode()))} if "form" in fits[0] else {"body": json.loads(request["raw"])}
        )
    found = [f"{p} is not for {request['path']}" for p in ("form", "body") if (p in parts) is not (p in fits[0])]
    for part, schema in ((part, fits[0].get(part)) for part in parts):
        found += [error.message for error in Draft202012Validator(schema or {}).iter_errors(parts[part])]
    return found
