"""
Whether the files that a config is made of have changed: the main file, and whatever its `include` matches now.

A change counts once the files have stood still for a moment: an editor or a copy that writes in place leaves half a file for an
instant, and half a file may well be valid. Touching a file, or saving it as it was, is no change.
"""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final

STILL_S: Final = 2.0
"""How long files must stand still before they are read."""

Stamp = tuple[tuple[str, int, int, int, int], ...]


class ConfigWatch:
    """Watches the files of one config. Not thread-safe."""

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic, still_s: float = STILL_S) -> None:
        self.path = path.absolute()
        self._monotonic = monotonic
        self._still_s = still_s
        self._patterns: tuple[str, ...] = ()
        self._stamp = self._look()
        self._since = monotonic()
        self._told: Stamp | None = self._stamp
        self.began = self.digest()
        """Of the files as they were when this began to watch: before anybody reads them, so that no edit falls between."""

    def changed(self) -> bool:
        """Return whether the files are others than when this last said so, and stand still."""
        stamp, now = self._look(), self._monotonic()
        if stamp != self._stamp:
            self._stamp, self._since = stamp, now
        if stamp == self._told or now - self._since < self._still_s:
            return False
        self._told = stamp
        return True

    def again(self) -> None:
        """Tell of the files once more, whatever was told."""
        self._told = None

    def digest(self) -> str:
        """Return a hash of what the files hold and what they are called; one that cannot be read counts by that."""
        found = blake2b(digest_size=16)
        for file in self._files():
            try:
                text = file.read_bytes()
            except OSError as error:
                text = type(error).__name__.encode()
            # relative, since the daemon and whoever asks may have come by different paths
            found.update(f"\n{os.path.relpath(file, self.path.parent)}\n{len(text)}\n".encode())
            found.update(text)
        return found.hexdigest()

    def _look(self) -> Stamp:
        stamp = []
        for file in self._files():
            try:
                at = file.stat()
                stamp.append((str(file), at.st_mtime_ns, at.st_ctime_ns, at.st_size, at.st_ino))
            except OSError:
                stamp.append((str(file), 0, 0, -1, 0))
        return tuple(stamp)

    def _files(self) -> list[Path]:
        self._read_patterns()
        folder = self.path.parent
        found = {self.path}
        for pattern in self._patterns:
            try:
                found |= (
                    {Path(pattern)} if Path(pattern).is_absolute() else {one for one in folder.glob(pattern) if one.is_file()}
                )
            except (ValueError, OSError, NotImplementedError):  # a pattern that is none: the config is refused for it
                continue
        return sorted(found)

    def _read_patterns(self) -> None:
        try:
            include = tomllib.loads(self.path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")).get("include", [])
        except (OSError, ValueError):
            return  # half written, or broken: what it included so far stays watched
        self._patterns = tuple(one for one in include if isinstance(one, str) and one) if isinstance(include, list) else ()
