"""Neutral rows and recorded answers for the tests of the Zigpoll connector."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from core.contract import Stream
from core.registry import load_connector

SETTINGS = {"api_key": "0123-key"}
BASE = "https://v1.zigpoll.com"
FOLDER = Path(__file__).parent
QUESTION = "How likely are you to recommend us?"


def payload(name: str) -> Any:
    """Return the body of a recorded answer."""
    return json.loads((FOLDER / "payloads" / f"{name}.json").read_text(encoding="utf-8"))["response"]["body"]


def kwargs(name: str) -> dict[str, Any]:
    """Return a recorded answer as respx takes it."""
    answer = json.loads((FOLDER / "payloads" / f"{name}.json").read_text(encoding="utf-8"))["response"]
    return {"status_code": answer["status"], "headers": answer["headers"], "json": answer["body"]}


def schema(path: str, what: str) -> Any:
    """Return the JSON Schema of a path's query (`request`) or of its answer (`response`)."""
    return json.loads((FOLDER / "schemas" / f"{path.strip('/')}.json").read_text(encoding="utf-8"))[what]


def poll(id_: str = "nps", title: str = "NPS", text: str = QUESTION, *more: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return a survey with one NPS question, and *more* of them."""
    return {
        "id": id_,
        "title": title,
        "questions": [{"id": "score", "text": text, "kind": "nps", "choices": []}, *more],
        **values,
    }


ADDRESS = {"id": "mail", "text": "Your address", "kind": "email", "choices": []}


def sent(
    count: int, at: datetime, *, survey: str = "nps", first: int = 0, every_s: float = 60, **values: Any
) -> list[dict[str, Any]]:
    """Return *count* submissions, the newest at *at*, one each *every_s* seconds before."""
    return [
        {"id": f"r{n:05}", "survey": survey, "user_id": f"u{n}", "answers": {"score": n % 11},
         "submitted_at": at - timedelta(seconds=every_s * (n - first)), **values}
        for n in range(first, first + count)
    ]  # fmt: skip


def responses(api: Any) -> Stream:
    """Return the stream."""
    return load_connector("zigpoll").streams(api.settings)["responses"]
