"""What makes a file that was written stay written: whole or not at all, and through a power cut."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write_file(path: Path, content: bytes, *, like: os.stat_result | None = None, new: bool = False) -> None:
    """
    Make *content* the file *path*: what was there stays as it was where that fails, and nothing else is left.

    Its mode is 0600, or that of *like*, whose owner it gets too where we may give it away. With *new* a file that is there
    already stays.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if like is not None:
            _liken(temporary, like)
        if new:
            with suppress(FileExistsError):
                put_new(temporary, path)
        else:
            temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _liken(path: Path, like: os.stat_result) -> None:
    path.chmod(like.st_mode & 0o7777)
    if hasattr(os, "chown") and (like.st_uid, like.st_gid) != (os.getuid(), os.getgid()):
        with suppress(PermissionError):
            os.chown(path, like.st_uid, like.st_gid)


def put_new(part: Path, target: Path) -> None:
    """Give *part* the name *target*; FileExistsError where somebody else was quicker, which a rename would not tell."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        part.replace(target)


def sync_folder(folder: Path) -> None:
    """Make a rename in *folder* survive a power cut."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
