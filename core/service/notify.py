"""
What whoever started the daemon is told: that it is ready, that its loop still turns, that it ends (sd_notify(3), systemd).

A datagram to the socket that `NOTIFY_SOCKET` names; nothing where it names none. The lease says that the process lives, for a
thread of its own renews it; this says that the loop does, which is what has everything done.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial

from core.log import log


class Told(StrEnum):
    """What there is to say."""

    READY = "READY=1"
    TURNS = "WATCHDOG=1"
    """Where it does not come within `WatchdogSec`, the daemon is ended and started again."""
    ENDS = "STOPPING=1"


def notifier(environ: Mapping[str, str]) -> Callable[[Told], None]:
    """Return what tells the service manager of this process; it never fails, for nobody there is no reason to stop."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return lambda told: None
    # an @ stands for the zero byte that the name of a socket without a file begins with
    return partial(_send, "\0" + address[1:] if address.startswith("@") else address)


def _send(address: str, told: Told) -> None:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.setblocking(False)
            to.sendto(told.encode(), address)
    except OSError as error:
        log.debug("service_manager_not_told", reason=type(error).__name__)
