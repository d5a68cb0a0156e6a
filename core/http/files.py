"""
Files of a connection, confined to the config's folder: links are followed first, and what then lies outside is refused.

A file is replaced whole or not at all. The database and what lies beside it by its name are not to be touched.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO

from core.durable import sync_folder
from core.errors import ConfigError, NotFoundError, StoreError
from core.http import permit


@dataclass(frozen=True, slots=True)
class Folder:
    """The config's folder, and the database that may lie in it."""

    path: Path
    database: Path

    def resolve(self, path: str) -> Path:
        """Return where *path* really leads; ConfigError outside the folder."""
        root = self.path.resolve()
        try:
            found = (root / path).resolve()
        except (OSError, RuntimeError, ValueError):
            raise ConfigError(f"{path}: is no path that can be followed") from None
        if not found.is_relative_to(root):
            raise ConfigError(f"{path}: lies outside the config's folder {root}; move it there")
        database = self.database.resolve()
        if found.parent == database.parent and (found.name == database.name or found.name.startswith(f"{database.name}-")):
            raise ConfigError(f"{path}: is the database")
        if found.parent == database.parent and found.name.startswith(f"{database.name}."):
            raise ConfigError(f"{path}: is kept by tagalong beside the database")
        return found

    @contextmanager
    def read(self, path: str) -> Iterator[IO[bytes]]:
        """Open a regular file."""
        found = self.resolve(path)
        try:
            if not stat.S_ISREG(found.stat().st_mode):
                raise ConfigError(f"{path}: is not a file")
            file = found.open("rb")
        except FileNotFoundError:
            raise NotFoundError(f"{path}: there is no such file") from None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
        with file:
            yield file

    def glob(self, pattern: str) -> Sequence[str]:
        """Return the files that match, sorted, relative to the folder, with forward slashes."""
        root = self.path.resolve()
        if PurePath(pattern).is_absolute() or ".." in PurePath(pattern).parts or not pattern.strip():
            raise ConfigError(f"{pattern!r}: a pattern starts in the config's folder and stays there")
        try:
            found = [path for path in root.glob(pattern) if path.is_file()]
        except (ValueError, OSError) as error:
            raise ConfigError(f"{pattern!r}: is no pattern ({error})") from None
        names = sorted(path.relative_to(root).as_posix() for path in found)
        for name in names:
            self.resolve(name)
        return names

    @contextmanager
    def replace(self, path: str) -> Iterator[IO[bytes]]:
        """Write a file that takes the place of *path* when the block ends well; a new one is readable by its owner only."""
        found = self.resolve(path)
        if found.exists() and not found.is_file():
            raise ConfigError(f"{path}: is not a file")
        temporary: Path | None = None
        try:
            found.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{found.name}.", suffix=".tmp", dir=found.parent)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if found.exists():
                temporary.chmod(stat.S_IMODE(found.stat().st_mode))
            permit.ask("PUT")
            temporary.replace(found)
            sync_folder(found.parent)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror}); what was there is as it was") from error
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
