"""Recorded answers and neutral rows for the tests of the Mailchimp connector."""

from __future__ import annotations

from pathlib import Path

from support import recorded

SETTINGS = {"api_key": "secret-us19", "list_id": "a6b5da1054"}
BASE = "https://us19.api.mailchimp.com/3.0"


class Payload(recorded.Payload):
    folder = Path(__file__).parent / "payloads"
