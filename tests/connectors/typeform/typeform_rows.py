"""Neutral rows and recorded answers for the tests of the Typeform connector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support import recorded

from core.contract import Stream
from core.registry import load_connector

SETTINGS = {"token": "tfp_secret"}
BASE = "https://api.typeform.com"
QUESTION = "How likely are you to recommend us?"


class Payload(recorded.Payload):
    folder = Path(__file__).parent / "payloads"


def form(id_: str = "nps", title: str = "NPS", text: str = QUESTION, **values: Any) -> dict[str, Any]:
    """Return a survey of one NPS question."""
    return {"id": id_, "title": title, "questions": [{"id": "score", "text": text, "kind": "nps", "choices": []}], **values}


def responses(api: Any) -> Stream:
    """Return the stream as a pull makes it: anew."""
    return load_connector("typeform").streams(api.settings)["responses"]
