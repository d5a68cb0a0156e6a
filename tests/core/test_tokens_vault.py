"""Where tokens are kept: the keyring or the file, one taking over from the other, nothing lost on the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.token_server import token_server

from core.contract import OAuth2
from core.errors import AuthError, ConfigError
from core.http.hosts import Hosts
from core.tokens import Exchange, TokenKeeper, Vault, system_ring

HOSTS = Hosts((), loopback=True)


class FakeRing:
    """A keyring of a test's own."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.locked = False
        self.full = False
        self.asks = threading.Event()
        self.asks.set()

    def get_password(self, service: str, name: str) -> str | None:
        self._open()
        return self.kept.get(name)

    def set_password(self, service: str, name: str, secret: str) -> None:
        self._open()
        if self.full:
            raise OSError("too long: hush-hush")
        self.kept[name] = secret

    def delete_password(self, service: str, name: str) -> None:
        self._open()
        del self.kept[name]

    def _open(self) -> None:
        self.asks.wait(60)
        if self.locked:
            raise RuntimeError("hush-hush")


@pytest.fixture
def ring() -> FakeRing:
    return FakeRing()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tagalong.db.crm.token"


def test_auto_asks_the_keyring_only_when_a_person_signs_in(ring: FakeRing, path: Path) -> None:
    """What a daemon fetches by itself stays in the file, and what a person put in the keyring is renewed there."""
    daemon, person = Vault(path, "auto", ring=lambda: ring), Vault(path, "auto", ring=lambda: ring, by_hand=True)

    assert None is daemon.read()
    assert "file" == daemon.write("first")
    assert ("first", {}) == (daemon.read(), ring.kept)
    assert "keyring" == person.write("second")
    assert "keyring" == daemon.write("third")
    assert ("third", ["third"]) == (daemon.read(), list(ring.kept.values()))
    assert "third" not in path.read_text()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("place", ["auto", "file"])
def test_without_a_keyring_it_is_silently_the_file(path: Path, place: str) -> None:
    vault = Vault(path, place, ring=lambda: None, by_hand=True)
    vault.check()

    assert "file" == vault.write("token")
    assert "token" == Vault(path, "auto", ring=lambda: None).read()


def test_a_setting_that_changed_moves_the_token_with_its_next_write(ring: FakeRing, path: Path) -> None:
    """Nobody signs in again, and no second copy is left."""
    keyring, file = Vault(path, "keyring", ring=lambda: ring), Vault(path, "file", ring=lambda: ring)
    file.write("first")
    assert "first" == keyring.read()
    assert "keyring" == keyring.write("second")
    assert "second" == file.read()
    assert "file" == file.write("third")
    assert ({}, "third") == (ring.kept, keyring.read())


def test_two_workspaces_share_no_entry(ring: FakeRing, tmp_path: Path) -> None:
    """Though their databases have one name; and a folder that is moved takes its tokens along."""
    (tmp_path / "b").mkdir()
    one, two = (Vault(folder / "t.db.crm.token", "keyring", ring=lambda: ring) for folder in (tmp_path, tmp_path / "b"))
    one.write("one")
    two.write("two")

    assert ("one", "two") == (one.read(), two.read())
    (tmp_path / "b").rename(tmp_path / "c")
    assert "two" == Vault(tmp_path / "c" / "t.db.crm.token", "auto", ring=lambda: ring).read()


def test_a_locked_keyring_is_said_before_anything_is_used_up(ring: FakeRing, path: Path) -> None:
    """Not taken for "never signed in"; its own words, which may hold anything, stay out."""
    Vault(path, "keyring", ring=lambda: ring).write("token")
    ring.locked = True
    with pytest.raises(AuthError, match="the system keyring, which has the token, cannot be read") as caught:
        Vault(path, "auto", ring=lambda: ring).read()
    assert "hush" not in f"{caught.value}{caught.value.__cause__}"
    with pytest.raises(AuthError, match="the token is in the system keyring, and there is none here"):
        Vault(path, "auto", ring=lambda: None).read()


def test_a_keyring_that_waits_for_somebody_is_not_waited_for_for_ever(ring: FakeRing, path: Path) -> None:
    """In a daemon nobody unlocks it."""
    Vault(path, "keyring", ring=lambda: ring).write("token")
    ring.asks.clear()
    with pytest.raises(AuthError, match="it waits to be unlocked"):
        Vault(path, "auto", ring=lambda: ring, ring_limit_s=0.05).read()
    ring.asks.set()


def test_a_keyring_that_fails_at_the_write_loses_no_token(ring: FakeRing, path: Path) -> None:
    """It goes to the file; where the setting insists on the keyring, the old one stays and the error says so."""
    vault = Vault(path, "auto", ring=lambda: ring, by_hand=True)
    vault.write("first")
    ring.full = True
    assert "file" == vault.write("second")
    assert ("second", {}) == (vault.read(), ring.kept)

    strict = Vault(path, "keyring", ring=lambda: ring)
    with pytest.raises(AuthError, match="cannot keep the new token") as caught:
        strict.write("third")
    assert "hush" not in str(caught.value)
    assert "second" == strict.read()


def test_a_keyring_that_is_asked_for_has_to_be_there(path: Path) -> None:
    vault = Vault(path, "keyring", ring=lambda: None)
    for ask in (vault.check, lambda: vault.write("token")):
        with pytest.raises(ConfigError, match="there is no system keyring here"):
            ask()
    assert not path.exists()


@pytest.mark.parametrize("there", [True, False], ids=["locked", "none"])
def test_a_keyring_that_cannot_keep_a_token_uses_none_up(ring: FakeRing, path: Path, there: bool) -> None:
    """The setting was changed to a keyring that does not open: the token server is not even asked."""
    with token_server() as server:
        token = keep(server.url, path).token().access_token
        ring.locked = True
        strict = Vault(path, "keyring", ring=lambda: ring if there else None)
        with pytest.raises(AuthError if there else ConfigError, match="keyring"):
            TokenKeeper(keep(server.url, path)._exchange, strict, now=lambda: 0.0).renew(token)
        assert 1 == len(server.asked)


def test_with_a_keyring_too_nobody_renews_at_once(ring: FakeRing, path: Path) -> None:
    """The lock lies beside the file in both cases; whoever comes second finds the first one's token in the keyring."""
    with token_server() as server:
        server.took_s = 0.02
        keepers = [
            TokenKeeper(keep(server.url, path)._exchange, Vault(path, "keyring", ring=lambda: ring), now=lambda: 0.0)
            for _ in range(4)
        ]
        threads = [threading.Thread(target=keeper.token) for keeper in keepers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (1, 1) == (server.most_at_once, len(server.asked))
        assert {"access-token-1"} == {keeper.token().access_token for keeper in keepers}


def test_forgetting_removes_both(ring: FakeRing, path: Path) -> None:
    vault = Vault(path, "keyring", ring=lambda: ring)
    assert not vault.forget()
    vault.write("token")
    assert vault.forget()
    assert ({}, False, None) == (ring.kept, path.exists(), vault.read())


def test_an_entry_that_somebody_deleted_is_no_token(ring: FakeRing, path: Path) -> None:
    vault = Vault(path, "keyring", ring=lambda: ring)
    vault.write("token")
    ring.kept.clear()
    assert None is vault.read()
    assert vault.forget()


def test_the_tests_have_no_keyring() -> None:
    """Nor has a container: a backend that keeps nothing is none."""
    assert "keyring.backends.null.Keyring" == os.environ["PYTHON_KEYRING_BACKEND"]
    assert None is system_ring()


# A process that dies with a new token in its hands


def keep(url: str, path: Path) -> TokenKeeper:
    auth = OAuth2(
        url, client_id="client-1", refresh_token=SecretStr("refresh-token-0"), authorize_url="https://acme.test/authorize"
    )
    exchange = Exchange(auth, connection="crm", check_host=HOSTS.check, now=lambda: 0.0, client={"timeout": 30.0})
    return TokenKeeper(exchange, Vault(path), now=lambda: 0.0)


def _dies(url: str, path: Path, where: str) -> None:
    def die(*_: object, **__: object) -> None:
        os._exit(9)

    keeper = keep(url, path)
    token = keeper.token().access_token
    if where == "before the write":
        Vault.write = die
    elif where == "before the rename":
        Path.replace = die
    else:
        os.fsync, fsync = lambda handle: die() if stat.S_ISDIR(os.fstat(handle).st_mode) else fsync(handle), os.fsync
    keeper.renew(token)


@pytest.mark.parametrize("where", ["before the write", "before the rename", "after the rename"])
@pytest.mark.parametrize("grace", [True, False], ids=["grace", "strict"])
def test_a_kill_between_answer_and_write_loses_what_only_the_vendor_can_give_again(path: Path, where: str, grace: bool) -> None:
    """
    What was kept is whole, old or new. Where it is the old one, a vendor with some grace takes it once more; with one without,
    the error says what to do. The lock of the dead is free.
    """
    with token_server() as server:
        server.grace = grace
        process = multiprocessing.get_context("spawn").Process(target=_dies, args=(server.url, path, where))
        process.start()
        process.join()
        assert 9 == process.exitcode
        kept = json.loads(path.read_text())["refresh_token"]
        assert ("refresh-token-2" if where == "after the rename" else "refresh-token-1") == kept

        if where == "after the rename" or grace:
            assert "access-token-3" == keep(server.url, path).renew(json.loads(path.read_text())["access_token"]).access_token
        else:
            with pytest.raises(AuthError, match="run `tagalong connect crm`"):
                keep(server.url, path).renew("access-token-1")
        left = {one.name for one in path.parent.iterdir()} - {path.name, f"{path.name}.lock"}
        assert all(name.startswith(f".{path.name}.") for name in left)
