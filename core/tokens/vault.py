"""
Where a token is kept: in the system keyring, or in a file of mode 0600 beside the database.

The file is there in both cases: it holds the token, or the name under which the keyring has it. So nobody has to guess where
a token is, a setting that was changed takes effect with the next token, and a process that cannot open the keyring says so
instead of asking a person to sign in again. One rename makes a new token take the old one's place.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

from filelock import FileLock, Timeout

from core.durable import write_file
from core.errors import AuthError, ConfigError, Problem, StoreError, TransientError
from core.log import log

T = TypeVar("T")
TokenPlace = Literal["auto", "keyring", "file"]
SERVICE: Final = "tagalong"
LOCK_LIMIT_S: Final = 120.0
RING_LIMIT_S: Final = 60.0
"""How long a keyring may take: a locked one asks a person, and in a daemon nobody answers."""


class Ring(Protocol):
    """What is used of a keyring; the `keyring` package's own functions have these names."""

    def get_password(self, service: str, name: str) -> str | None: ...

    def set_password(self, service: str, name: str, secret: str) -> None: ...

    def delete_password(self, service: str, name: str) -> None: ...


def system_ring() -> Ring | None:
    """Return the system's keyring; None where there is none that keeps secrets (a container, a session without a desktop)."""
    import keyring
    from keyring.core import recommended

    try:
        ring = keyring.get_keyring()
        return ring if recommended(ring) else None
    except Exception:  # a backend of somebody else's may raise anything when it is looked at
        return None


class Vault:
    """
    One connection's token as text. Not thread-safe; `alone` is held around every other call.

    *place* `auto` leaves a token where it is; a new one goes to the keyring if *by_hand* (a person signs in, and may unlock it)
    and there is one, else to the file.
    """

    def __init__(
        self,
        path: Path,
        place: TokenPlace = "file",
        *,
        ring: Callable[[], Ring | None] = system_ring,
        by_hand: bool = False,
        ring_limit_s: float = RING_LIMIT_S,
    ) -> None:
        self.path = path
        self._place = place
        self._find_ring = ring
        self._by_hand = by_hand
        self._ring_limit_s = ring_limit_s
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), mode=0o600)

    @contextmanager
    def alone(self, check: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Keep other processes out; *check* raises when this one is to stop. TransientError where they take too long."""
        self._acquire(check)
        try:
            yield
        finally:
            self._lock.release()

    def _acquire(self, check: Callable[[], None]) -> None:
        until = time.monotonic() + LOCK_LIMIT_S
        while True:
            check()
            try:
                self._lock.acquire(timeout=0.25, poll_interval=0.02)
            except Timeout:
                if time.monotonic() > until:
                    raise TransientError("another process takes too long to renew the token", maybe_acted=False) from None
            except OSError as error:
                raise StoreError(f"{self.path}: the lock beside it cannot be made ({error.strerror})") from error
            else:
                return

    def check(self) -> None:
        """
        See that a token could be kept, before one is used up for another or somebody signs in for nothing.

        Raises:
            ConfigError: the setting asks for a keyring, and there is none.
            AuthError: it is locked.
        """
        if self._place != "keyring":
            return
        ring = self._ring()
        if ring is None:
            raise _no_ring()
        try:
            self._timed(lambda: ring.get_password(SERVICE, "check"))
        except _RingFailed as error:
            raise AuthError(f"the system keyring cannot be opened ({error})") from None

    def read(self) -> str | None:
        """
        Return what is kept, None if nothing is.

        Raises:
            AuthError: the keyring that has it cannot be read now.
            StoreError: the file cannot be read.
        """
        text = self._file()
        name = _entry(text)
        if name is None:
            return text
        ring = self._ring()
        if ring is None:
            raise AuthError(f"the token is in the system keyring, and there is none here; {_ELSEWHERE}")
        try:
            return self._timed(lambda: ring.get_password(SERVICE, name))
        except _RingFailed as error:
            raise AuthError(f"the system keyring, which has the token, cannot be read ({error})") from None

    def write(self, text: str) -> str:
        """
        Keep *text* in the place of what was kept, which is there until then; return where: `keyring` or `file`.

        Raises:
            AuthError, ConfigError: the setting asks for a keyring, which failed or is not there; the old text still is.
            StoreError: nothing could be written; the old text is still there.
        """
        name = _entry(self._file())
        if self._to_ring(name):
            ring = self._ring()
            if ring is None and self._place == "keyring":
                raise _no_ring()
            if ring is not None and self._into_ring(ring, name, text):
                return "keyring"
        self._replace(text)  # also where the keyring failed: a rotated token must not be lost
        if name is not None:
            self._drop(name)
        return "file"

    def forget(self) -> bool:
        """Remove what is kept; tell whether anything was."""
        text = self._file()
        if text is None:
            return False
        name = _entry(text)
        if name is not None:
            self._drop(name)
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be removed ({error.strerror})") from error
        return True

    # The keyring

    def _to_ring(self, name: str | None) -> bool:
        return self._place == "keyring" or (self._place == "auto" and (name is not None or self._by_hand))

    def _into_ring(self, ring: Ring, kept_as: str | None, text: str) -> bool:
        name = kept_as or f"{self.path.name} {secrets.token_hex(4)}"
        try:
            self._timed(lambda: ring.set_password(SERVICE, name, text))
        except _RingFailed as error:
            if self._place == "keyring":
                raise AuthError(f"the system keyring cannot keep the new token ({error}); {_ELSEWHERE}") from None
            log.warning("keyring_failed", kept_in="file", reason=str(error))
            return False
        if kept_as is None:
            self._replace(json.dumps({"keyring": name}))
        return True

    def _drop(self, name: str) -> None:
        ring = self._ring()
        try:
            if ring is not None:
                self._timed(lambda: ring.delete_password(SERVICE, name))
        except _RingFailed as error:
            log.warning("keyring_entry_left", reason=str(error))

    def _ring(self) -> Ring | None:
        try:
            return self._timed(self._find_ring)
        except _RingFailed:
            return None

    def _timed(self, ask: Callable[[], T]) -> T:
        """Ask a keyring; it may wait for a person, so not for ever."""
        found: list[T] = []
        failed: list[str] = []

        def run() -> None:
            try:
                found.append(ask())
            except Exception as error:  # each system's keyring has errors of its own, and their texts may hold anything
                failed.append(type(error).__name__)

        thread = threading.Thread(target=run, name="keyring", daemon=True)
        thread.start()
        thread.join(self._ring_limit_s)
        if not found:
            raise _RingFailed(failed[0] if failed else "it waits to be unlocked")
        return found[0]

    # The file

    def _file(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError:
            raise StoreError(f"{self.path}: is damaged; {DAMAGED}") from None

    def _replace(self, text: str) -> None:
        try:
            write_file(self.path, text.encode())
        except OSError as error:
            raise StoreError(
                f"{self.path}: the new token cannot be written ({error.strerror}); the old one may be used up"
            ) from error


DAMAGED: Final = "delete it and renew the connection's credentials"
_ELSEWHERE: Final = 'unlock one, or set tokens = "file" in [workspace] and sign in again'


def _no_ring() -> ConfigError:
    return ConfigError(Problem("there is no system keyring here", key="workspace.tokens", remedy=_ELSEWHERE))


class _RingFailed(Exception):  # noqa: N818 - turned into one of the hub's at once
    """A keyring did not do what it was asked to."""


def _entry(text: str | None) -> str | None:
    """Return the name in the keyring that the file's text holds, None where it holds the token itself or nothing."""
    try:
        kept: Any = json.loads(text) if text else None
    except ValueError:
        return None
    name = kept.get("keyring") if isinstance(kept, dict) else None
    return name if isinstance(name, str) and name else None
