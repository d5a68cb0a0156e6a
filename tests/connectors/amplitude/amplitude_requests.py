"""Every request that the tests see, held against JSON Schemas written from the vendor's reference: it publishes no document."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from support.recorder import Asked, Recorder

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


class Recorded(Recorder):
    """What is asked of the sandbox."""

    def note(self, asked: Asked) -> tuple[str, Any, dict[str, str]]:
        """Return what was asked (`GET /path`), what was said with it (JSON, a form or a query), and its headers."""
        return f"{asked.method} {asked.path}", _said(asked), asked.headers

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


def _said(asked: Asked) -> Any:
    if "form" in asked.kind:
        return {**asked.body, "identification": json.loads(asked.body["identification"])}
    return asked.body if "json" in asked.kind else dict(asked.query)
