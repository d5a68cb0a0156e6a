"""Writes down what is asked of the sandbox, and holds it against the schemas made from the vendor's documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator
from support.recorder import Asked, Recorder

SCHEMAS = [json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "schemas").glob("*.json"))]


class Recorded(Recorder):
    """What is asked of the sandbox."""

    def note(self, asked: Asked) -> dict[str, Any]:
        """Return a request as a mapping, its body as it was sent under `raw`."""
        query = dict(asked.query)
        return {"method": asked.method, "path": asked.path, "query": query, "headers": asked.headers, "raw": asked.content}

    def of(self, end: str) -> list[dict[str, Any]]:
        """Return the requests to paths that end so, oldest first; a JSON body is under `body`."""
        found = [one for one in self.seen if one["path"].endswith(end)]
        return [{**one, "body": json.loads(one["raw"]) if one["raw"][:1] == b"{" else None} for one in found]

    def problems(self) -> list[str]:
        """Return what is wrong with the requests seen, by the schemas of their endpoints."""
        return [problem for request in self.seen for problem in problems(request)]


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
