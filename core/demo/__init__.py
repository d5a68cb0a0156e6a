"""`tagalong demo`: everything, against the built-in sandboxes, with made-up people; and a comparison that can fail."""

from __future__ import annotations


def main(*, keep: bool = False, as_json: bool = False) -> int:
    """Perform the demo; with *keep* leave the sandboxes and the daemon running until Ctrl-C. Returns the exit code."""
    from core.demo.perform import perform  # everything heavy is behind this line

    return perform(keep=keep, as_json=as_json)
