"""Archives: read line by line, bounded, and whatever is wrong with one is one typed error."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

import pytest
from amplitude_rows import archive, zipped

from connectors.amplitude import archive as module
from connectors.amplitude.archive import read_lines
from core.errors import ProtocolError

LINE = b'{"uuid":"a"}\n'


def test_lines_of_several_files_with_their_places() -> None:
    """Folders and empty lines are passed over; a last line needs no end."""
    file = zipped({"1/": b"", "1/1_a#0.json.gz": gzip.compress(LINE + b"\n" + LINE), "1/1_a#1.json.gz": gzip.compress(b"last")})

    assert [("1_a#0.json.gz:1", LINE), ("1_a#0.json.gz:3", LINE), ("1_a#1.json.gz:1", b"last")] == list(read_lines(file))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\..\\x", "C:\\x.json.gz", "a\x1b[31m.gz", "n" * 300])
def test_entry_paths_are_ignored(tmp_path: Any, monkeypatch: Any, name: str) -> None:
    """Nothing is written anywhere, whatever an entry is called, and what is shown of it is harmless."""
    monkeypatch.chdir(tmp_path)
    ((place, line),) = read_lines(archive([LINE], name=name))

    assert LINE == line
    assert not set(place) & set("/\\\x1b")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cut", [0, 1, 30, 60, -1])
def test_an_archive_cut_short_is_told(cut: int) -> None:
    whole = archive([LINE] * 50).getvalue()
    with pytest.raises(ProtocolError, match="damaged or only the beginning"):
        list(read_lines(io.BytesIO(whole[:cut])))


def test_a_file_cut_short_inside_an_archive_is_told() -> None:
    """What was whole comes first; then the error, so nobody takes it for the end."""
    lines = [json.dumps({"uuid": n}).encode() + b"\n" for n in range(1000)]
    seen = []
    with pytest.raises(ProtocolError):
        for _, line in read_lines(zipped({"a.json.gz": gzip.compress(b"".join(lines))[:-20]})):
            seen.append(line)
    assert seen == lines[: len(seen)]


@pytest.mark.parametrize(
    "content",
    [b"not gzip", gzip.compress(LINE)[:-8] + b"\0" * 8, gzip.compress(LINE)[:10] + b"\xff\xff\xff"],
    ids=["plain", "wrong-sum", "broken"],
)
def test_damaged_files_are_told(content: bytes) -> None:
    with pytest.raises(ProtocolError, match="damaged"):
        list(read_lines(zipped({"a.json.gz": content})))


@pytest.mark.parametrize(
    "content",
    [gzip.compress(LINE * 100_000), gzip.compress(LINE) + bytes(20_000_000)],
    ids=["lines", "padding"],  # of zeros behind the lines, which no line shows
)
def test_bytes_are_counted_against_bombs(monkeypatch: Any, content: bytes) -> None:
    """A small archive that unpacks hundreds of times its size; one that stays below what any may is fine."""
    file = zipped({"a.json.gz": content}, zipfile.ZIP_DEFLATED)
    assert LINE == next(read_lines(file))[1]
    monkeypatch.setattr(module, "SMALL", 100_000)
    monkeypatch.setattr(module, "MAX_RATIO", 20)

    with pytest.raises(ProtocolError, match="far more than it should"):
        list(read_lines(file))


def test_a_line_without_end_is_not_held(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MAX_LINE", 1000)

    assert 1 == len(list(read_lines(archive([b"x" * 1000]))))
    with pytest.raises(ProtocolError, match="a line of more than"):
        list(read_lines(archive([b"x" * 1001])))


def test_an_encrypted_archive_is_told() -> None:
    """A flag in its directory; we have no password."""
    data = bytearray(archive([LINE]).getvalue())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + at] |= 1
    with pytest.raises(ProtocolError):
        list(read_lines(io.BytesIO(bytes(data))))
