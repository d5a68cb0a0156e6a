"""Answers of a vendor as payload files keep them, and as respx takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar


class Payload:
    """A recorded answer; each connector's tests say in which folder theirs are."""

    folder: ClassVar[Path]

    def __init__(self, name: str) -> None:
        self.file = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        self.body: Any = self.file["response"]["body"]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The answer as respx takes it."""
        answer = self.file["response"]
        content = {"text": self.body} if isinstance(self.body, str) else {"json": self.body}
        return {"status_code": answer["status"], "headers": answer["headers"], **content}
