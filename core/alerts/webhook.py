"""
A message as Standard Webhooks has it (https://www.standardwebhooks.com): JSON, and a signature over its id, time and body.

`webhook-id` is the same over all tries of one message, `webhook-timestamp` is of the try.
"""

from __future__ import annotations

import json
from datetime import datetime

from standardwebhooks import Webhook

from core.alerts.notices import Notice


def content(notice: Notice) -> bytes:
    """Return the body: `type` is `sync.held` or its like, `data` says the rest."""
    if notice.what == "test":
        type_ = "test"
        data: dict[str, object] = {"reason": notice.reason}
    else:
        type_ = f"{notice.kind}.{'recovered' if notice.what == 'over' else notice.state}"
        data = {
            notice.kind: notice.name, "state": notice.state, "since": notice.since,
            **({} if notice.what == "over" else {"reason": notice.reason, "counts": notice.counts, "remedy": notice.remedy}),
        }  # fmt: skip
    return json.dumps({"type": type_, "timestamp": notice.at, "data": data}, ensure_ascii=False).encode()


def headers(message_id: str, body: bytes, secret: str, at: datetime) -> dict[str, str]:
    """Return the three headers of one try at *at* (aware UTC)."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, body.decode()),
    }
