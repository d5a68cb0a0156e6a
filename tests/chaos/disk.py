"""A disk that can be full: a small tmpfs where mounting is permitted, else a store that may not grow."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from core.store import Store

SIZE_MB = 64


@dataclass(slots=True)
class SmallDisk:
    """A folder on a disk of its own."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self, leaving: int) -> None:
        """Leave so many bytes free."""
        stat = os.statvfs(self.folder)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(4096, stat.f_bavail * stat.f_frsize - leaving))

    def empty(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def no_room(database: Path, pages: int) -> Iterator[None]:
    """Let the stores of this process be full when they have grown by so many pages."""
    allowed = pages
    if database.exists():
        with closing(sqlite3.connect(database)) as conn:
            allowed += conn.execute("PRAGMA page_count").fetchone()[0]
    opened = Store.__init__

    def open_(store: Store, *args: Any, **options: Any) -> None:
        opened(store, *args, **options)
        store.conn.execute(f"PRAGMA max_page_count = {allowed}")

    with patch.object(Store, "__init__", open_):
        yield


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk | None]:
    """Mount a small disk at *folder* for as long as the block runs; None where this process may not."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0700", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield SmallDisk(folder) if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)
