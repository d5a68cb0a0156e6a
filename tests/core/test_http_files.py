"""Files stay under the config's folder, and are replaced whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from support import acme

from core.errors import ConfigError, LeaseLost, NotFoundError, StoreError
from core.http.permit import permitting


@pytest.fixture
def api(fake_api, tmp_path):
    """An api whose folder holds some files, and links that lead out of it."""
    folder = tmp_path / "config"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.csv").write_bytes(b"id\n1\n")
    (folder / "data" / "b.csv").write_bytes(b"id\n2\n")
    (tmp_path / "secret.csv").write_bytes(b"hush")
    (folder / "inside.csv").symlink_to(folder / "data" / "a.csv")
    return fake_api(acme, folder=folder, store_path=folder / "tagalong.db")


OUTSIDE = ["../secret.csv", "data/../../secret.csv", "/etc/passwd", "link.csv", "away/secret.csv"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_the_folder_is_read_or_written(api, tmp_path, path):
    """By dots, by an absolute path, by a link to a file, by a link to a folder."""
    (tmp_path / "config" / "link.csv").symlink_to(tmp_path / "secret.csv")
    (tmp_path / "config" / "away").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="outside"), api.read(path):
        pass
    with pytest.raises(ConfigError, match="outside"), api.replace(path) as file:
        file.write(b"mine")
    assert (tmp_path / "secret.csv").read_bytes() == b"hush"


def test_files_are_read_and_found(api):
    """Sorted, relative, with forward slashes; a link that stays inside is fine."""
    assert ["data/a.csv", "data/b.csv"] == api.glob("data/*.csv")
    assert ["data/a.csv", "data/b.csv", "inside.csv"] == api.glob("**/*.csv")
    assert ["data/b.csv"] == api.glob("data/b.csv")
    assert api.glob("data/*.tsv") == []
    with api.read("inside.csv") as file:
        assert file.read() == b"id\n1\n"
    with pytest.raises(NotFoundError), api.read("data/none.csv"):
        pass
    with pytest.raises(ConfigError), api.read("data"):
        pass


@pytest.mark.parametrize("pattern", ["../*.csv", "/etc/*", "data/../../*", "", "**.csv/***"])
def test_patterns_stay_inside_too(api, pattern):
    """A pattern that climbs is a mistake in the config, not an empty answer."""
    with pytest.raises(ConfigError):
        api.glob(pattern)


def test_a_link_out_of_the_folder_is_not_found_but_refused(api, tmp_path):
    """A glob that meets one says so."""
    (tmp_path / "config" / "data" / "c.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(ConfigError, match="outside"):
        api.glob("data/*.csv")


def test_a_file_is_replaced_whole(api, tmp_path):
    """Until the block ends well the old one is there; a new one is its owner's alone, an old one keeps its mode."""
    target = tmp_path / "config" / "out" / "regulars.csv"
    with api.replace("out/regulars.csv") as file:
        file.write(b"first")
        assert not target.exists()
    assert (b"first", 0o600) == (target.read_bytes(), stat.S_IMODE(target.stat().st_mode))
    target.chmod(0o644)
    with pytest.raises(RuntimeError), api.replace("out/regulars.csv") as file:
        file.write(b"half of the sec")
        raise RuntimeError
    assert target.read_bytes() == b"first"
    with api.replace("out/regulars.csv") as file:
        file.write(b"second")
    assert (b"second", 0o644) == (target.read_bytes(), stat.S_IMODE(target.stat().st_mode))
    assert [target] == list(target.parent.iterdir())


@pytest.mark.skipif(not hasattr(os, "geteuid") or not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_what_was_there(api, tmp_path, monkeypatch):
    """The write fails where the disk is full, and the old file is as it was."""
    target = tmp_path / "config" / "data" / "a.csv"
    real = os.fdopen

    def full(handle, mode):
        os.close(handle)
        return real(os.open("/dev/full", os.O_WRONLY), mode, buffering=0)

    monkeypatch.setattr("core.http.files.os.fdopen", full)
    with pytest.raises(StoreError, match="No space left"), api.replace("data/a.csv") as file:
        file.write(b"x")
    assert target.read_bytes() == b"id\n1\n"
    assert {"a.csv", "b.csv"} == {path.name for path in target.parent.iterdir()}


@pytest.mark.parametrize("path", ["tagalong.db", "tagalong.db-wal", "tagalong.db.mail.token"])
def test_the_database_is_not_a_destination(api, path):
    """Nor what is kept beside it."""
    with pytest.raises(ConfigError), api.replace(path) as file:
        file.write(b"")


def test_a_file_is_not_replaced_by_who_may_write_no_more(api, tmp_path):
    """The process slept while the rows came, and another has written the file since."""

    def lost():
        raise LeaseLost("taken over")

    with pytest.raises(LeaseLost), permitting(lost), api.replace("data/a.csv") as file:
        file.write(b"older")
    assert b"id\n1\n" == (tmp_path / "config" / "data" / "a.csv").read_bytes()
    assert ["a.csv", "b.csv"] == sorted(path.name for path in (tmp_path / "config" / "data").iterdir())
