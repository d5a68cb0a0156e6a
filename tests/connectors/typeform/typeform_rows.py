"""Neutral rows and recorded answers for the tests of the Typeform connector."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from core.contract import Stream
from core.registry import load_connector

SETTINGS = {"token": "tfp_secret"}
BASE = "https://api.typeform.com"
PAYLOADS = Path(__file__).parent / "payloads"
QUESTION = "How likely are you to recommend us?"


def payload(name: str) -> Any:
    """Return the body of a recorded answer."""
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))["response"]["body"]


def kwargs(name: str) -> dict[str, Any]:
    """Return a recorded answer as respx takes it."""
    answer = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))["response"]
    return {"status_code": answer["status"], "headers": answer["headers"], "json": answer["body"]}


def form(id_: str = "nps", title: str = "NPS", text: str = QUESTION, **values: Any) -> dict[str, Any]:
    """Return a survey of one NPS question."""
    return {"id": id_, "title": title, "questions": [{"id": "score", "text": text, "kind": "nps", "choices": []}], **values}


def sent(
    count: int, at: datetime, *, survey: str = "nps", first: int = 0, every_s: float = 60, **values: Any
) -> list[dict[str, Any]]:
    """Return *count* answers, the newest at *at*, one each *every_s* seconds before."""
    return [
        {"id": f"r{n:05}", "survey": survey, "user_id": f"u{n}", "answers": {"score": n % 11},
         "submitted_at": at - timedelta(seconds=every_s * (n - first)), **values}
        for n in range(first, first + count)
    ]  # fmt: skip


def responses(api: Any) -> Stream:
    """Return the stream as a pull makes it: anew."""
    return load_connector("typeform").streams(api.settings)["responses"]
