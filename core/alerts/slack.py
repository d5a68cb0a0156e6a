"""A message for an incoming webhook of Slack (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

from __future__ import annotations

import json

from core.alerts.notices import Notice, lines

_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
"""The three that Slack reads (https://docs.slack.dev/messaging/formatting-message-text#escaping): mentions, links, channels."""


def content(notice: Notice) -> bytes:
    """Return the body: text alone, read by Slack as it stands, so no name of a segment can call a channel or draw a link."""
    text = "\n".join(lines(notice)).translate(_ESCAPES)
    return json.dumps({"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}).encode()
