"""Neutral rows and recorded answers for the tests of the Zigpoll connector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support import recorded

from core.contract import Stream
from core.registry import load_connector

SETTINGS = {"api_key": "0123-key"}
BASE = "https://v1.zigpoll.com"
FOLDER = Path(__file__).parent
QUESTION = "How likely are you to recommend us?"


class Payload(recorded.Payload):
    folder = Path(__file__).parent / "payloads"


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


def responses(api: Any) -> Stream:
    """Return the stream."""
    return load_connector("zigpoll").streams(api.settings)["responses"]
