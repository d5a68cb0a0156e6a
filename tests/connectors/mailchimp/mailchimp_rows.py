"""Recorded answers and neutral rows for the tests of the Mailchimp connector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SETTINGS = {"api_key": "secret-us19", "list_id": "a6b5da1054"}
BASE = "https://us19.api.mailchimp.com/3.0"
PAYLOADS = Path(__file__).parent / "payloads"


class Payload:
    """A recorded answer: what it holds, and itself as respx takes it."""

    def __init__(self, name: str) -> None:
        self.file = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
        self.body: Any = self.file["response"]["body"]

    @property
    def kwargs(self) -> dict[str, Any]:
        answer = self.file["response"]
        content = {"text": self.body} if isinstance(self.body, str) else {"json": self.body}
        return {"status_code": answer["status"], "headers": answer["headers"], **content}


def people(*addresses: str, **values: Any) -> list[dict[str, Any]]:
    """Return neutral rows of *addresses*."""
    return [{"id": address, "email": address, **values} for address in addresses]
