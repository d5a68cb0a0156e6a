"""Sandboxes on loopback: a port each, faults on demand, and nothing left running."""

from __future__ import annotations

import socket
import threading

import httpx
import pytest
from support import acme
from support.acme.sandbox import TOKEN, AcmeSandbox

from core.contract import Fault
from core.errors import AuthError, TransientError
from core.sandbox import Delayed, Reset, as_settings, serve


def serving():
    """Return the threads of servers: others come and go by themselves."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("server-")]


def test_each_has_a_port_and_none_is_left():
    """Both answer while the block lasts; then their threads are gone and the ports are closed."""
    with serve({"one": AcmeSandbox(), "two": AcmeSandbox()}) as served:
        for one in served.values():
            assert one.base_url.endswith("/v2")
            answer = httpx.get(f"{one.base_url}/account", headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False)
            assert answer.json() == {"id": "acme-1"}
            assert one.base_url == as_settings(one)["base_url"]
        ports = [httpx.URL(one.base_url).port for one in served.values()]
        assert len(set(ports)) == len(serving()) == 2
    assert not serving()
    for port in ports:
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_it_stops_when_the_block_fails():
    """An error in a test does not leave a server behind."""
    with pytest.raises(RuntimeError, match="mine"), serve({"one": AcmeSandbox()}):
        assert serving()
        raise RuntimeError("mine")
    assert not serving()


def test_faults_are_asked_with_method_path_and_number(sandbox_api):
    """And what they say is what comes; *act* decides whether the list is made."""
    api = sandbox_api(acme)
    asked = []

    def faults(method, path, number):
        asked.append((method, path, number))
        return {1: Fault(500, {}, b""), 2: Fault(500, {}, b"", act=True), 3: Delayed(0.05)}.get(number)

    api.served.faults = faults
    for count in (0, 1):
        with pytest.raises(TransientError):
            api.post("/lists", json={"name": "x"})
        assert count == len(api.sandbox.lists)
    assert {"id": "acme-1"} == api.get("/account", a="b")
    assert [("POST", "/lists", 1), ("POST", "/lists", 2), ("GET", "/account", 3)] == asked


@pytest.mark.parametrize("act", [False, True])
def test_a_reset_is_an_unknown_outcome(sandbox_api, act):
    """The client sees a lost connection either way; whether the list was made only the sandbox knows."""
    api = sandbox_api(acme)
    api.served.faults = lambda method, path, number: Reset(act=act) if method == "POST" else None
    with pytest.raises(TransientError) as caught:
        api.post("/lists", json={"name": "x"})

    assert caught.value.maybe_acted
    assert int(act) == len(api.sandbox.lists)
    assert {"id": "acme-1"} == api.get("/account")


def test_a_wrong_key_is_refused(sandbox_api):
    """The sandbox is as strict as a vendor."""
    with pytest.raises(AuthError):
        sandbox_api(acme, token="not-the-right-one").get("/account")


def test_nobody_there_is_a_connection_that_was_never_made(fake_api):
    """Real sockets, nobody listening."""
    with socket.socket() as taken, pytest.raises(TransientError) as caught:
        taken.bind(("127.0.0.1", 0))  # and not listened on, so that nobody else comes to listen there
        fake_api(acme, {"base_url": f"http://127.0.0.1:{taken.getsockname()[1]}"}).post("/x")
    assert not caught.value.maybe_acted


def test_a_late_answer_is_an_unknown_outcome(fake_api):
    """A write that timed out may have been carried out."""
    given_up = threading.Event()
    with serve({"acme": AcmeSandbox()}) as served:
        served["acme"].faults = lambda method, path, number: given_up.wait(60) and None
        with pytest.raises(TransientError) as caught:
            fake_api(acme, as_settings(served["acme"]), timeout=0.1).post("/lists", json={"name": "x"})
        given_up.set()
    assert caught.value.maybe_acted
