"""
A small house with everything in it: a CRM, an e-mail tool, a billing tool and files, and the real command line to run it with.

The vendors' sandboxes answer on loopback, with limits that a test does not meet. `House.run` is a command as a person types it,
in this process; what it sleeps is recorded and not slept.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import core.http
from connectors.activecampaign.sandbox import KEY as CAMPAIGNS_KEY
from connectors.activecampaign.sandbox import URL as CAMPAIGNS_URL
from connectors.mailchimp.sandbox_state import LIST
from core.cli import main as tagalong
from core.cli.app import App
from core.contract import Sandbox
from core.http import open_api
from core.registry import load_connector
from core.sandbox import Served
from core.store import Store

CRM_TOKEN = "pat-eu1-CANARYcrm-5b1d0c77-1c0a"
BILLING_KEY = "rk_test_CANARYbilling51Hx0aYw"
MAIL_KEY = "CANARYmail9d8c7b6a5f4e3d2c1b0a-us19"
ENVIRON = {"CRM_TOKEN": CRM_TOKEN, "BILLING_KEY": BILLING_KEY, "MAIL_KEY": MAIL_KEY, "CAMPAIGNS_KEY": CAMPAIGNS_KEY}

WORKSPACE = '[workspace]\ndatabase = "tagalong.db"\ntimezone = "UTC"\ncurrency = "EUR"\n'
VIP = """
[segments.vip]
title = "Vips"
where = 'lifecycle_stage == "customer"'
"""
VIPS_TO_MAIL = '[[syncs]]\nname = "vips"\nsegment = "vip"\nto = "mail"\naudience = { tag = "Vips" }\n'


def address(number: int) -> str:
    """Return the address of a made-up person."""
    return f"person{number}@example.com"


@dataclass
class Clock:
    """The wall's clock, moved on by hand."""

    offset: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def advance(self, **by: float) -> None:
        self.offset += timedelta(**by)


@dataclass(frozen=True)
class Ran:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        answer: dict[str, Any] = json.loads(self.out)
        return answer


@dataclass
class House:
    """One world. Connections are what `connect` was told; the rest of the config is text."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))
    boxes: dict[str, Any] = field(default_factory=dict)
    served: Mapping[str, Served] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Everything that any command printed, of both kinds."""
    errors: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.folder / "tagalong.toml"

    @property
    def database(self) -> Path:
        return self.folder / "tagalong.db"

    # The vendors

    def people(self, *numbers: int, stage: str = "customer", mail: bool = True, **more: Any) -> None:
        """Let persons be known to the CRM and, with *mail*, to the e-mail tool."""
        now = self.clock()
        rows = [
            {"id": str(1000 + n), "email": address(n), "first_name": f"Given{n}", "lifecycle_stage": stage,
             "created_at": now - timedelta(days=90), "updated_at": now, **more}
            for n in numbers
        ]  # fmt: skip
        self.boxes["crm"].load("people", rows)
        for tool in ("mail", "campaigns"):
            if mail and tool in self.boxes:
                self.boxes[tool].load("members", [self.member(n) for n in numbers])

    def member(self, number: int) -> dict[str, Any]:
        """Return a subscribed person of the e-mail tool, for `load`."""
        return {
            "id": address(number), "email": address(number), "first_name": f"Given{number}", "status": "subscribed",
            "updated_at": self.clock(),
        }  # fmt: skip

    def customers(self, *numbers: int) -> None:
        """Let persons pay 10 euros a month."""
        now = self.clock()
        box = self.boxes["billing"]
        box.load("customers", [
            {"id": f"cus_{n}", "email": address(n), "created_at": now - timedelta(days=60)} for n in numbers
        ])  # fmt: skip
        box.load("subscriptions", [
            {"id": f"sub_{n}", "customer": f"cus_{n}", "status": "active", "plan": "Starter", "unit_amount": 1000,
             "currency": "EUR", "interval": "month", "interval_count": 1, "quantity": 1, "created_at": now - timedelta(days=60),
             "started_at": now - timedelta(days=60)}
            for n in numbers
        ])  # fmt: skip

    def tagged(self, name: str = "Vips", connection: str = "mail") -> set[str]:
        """Return who is in an audience at the vendor."""
        return set(self.boxes[connection].audiences().get(name, ()))

    def requests(self, *connections: str) -> int:
        """Return how many requests reached the doors, answered by a sandbox or by a fault."""
        return sum(self.served[name].count for name in connections or self.served)

    def writes(self) -> int:
        return sum(box.writes.total() for box in self.boxes.values())

    # The files

    def write_config(self, *parts: str, schedule: str = "15m", more: Mapping[str, str] | None = None) -> None:
        """Write the config: the workspace, the vendors that are served, and *parts*; *more* are lines by connection."""
        lines = [WORKSPACE]
        for name, served in self.served.items():
            secret, variable, own = _KEYS[name]
            lines += [f"[connections.{name}]", f'connector = "{_CONNECTORS[name]}"', f'base_url = "{served.base_url}"']
            lines += [f'{secret} = {{ env = "{variable}" }}', own, f'schedule = "{schedule}"' if schedule else ""]
            lines += [(more or {}).get(name, ""), ""]
        self.write("tagalong.new", "\n".join([*lines, *parts]))
        (self.folder / "tagalong.new").replace(self.path)  # at once: half a config may be one, and a daemon looks

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    # The commands

    def run(self, *arguments: str, code: int | Iterable[int] | None = 0) -> Ran:
        """Run one command as if it were typed; it has to end with *code* (None: whatever it is)."""
        out, err = io.StringIO(), io.StringIO()
        app = App(self.path, clock=self.clock, environ=self.environ)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = tagalong.main(list(arguments), standalone_mode=False, obj=app)
        ran = Ran(ended or 0, out.getvalue(), err.getvalue())
        self.said += [ran.out, ran.err]
        self.errors.append(ran.err)
        wanted = {code} if isinstance(code, int) else None if code is None else set(code)
        assert wanted is None or ran.code in wanted, (
            f"tagalong {' '.join(arguments)} ended with {ran.code}:\n{ran.out}\n{ran.err}"
        )
        return ran

    def sync(self, *arguments: str, code: int | Iterable[int] | None = 0) -> Ran:
        """Sync a quarter of an hour later, answered in JSON."""
        self.clock.advance(minutes=16)
        return self.run("sync", "--json", *arguments, code=code)

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read the store."""
        with Store(self.database, read_only=True) as store:
            return store.conn.execute(sql, values).fetchall()


_CONNECTORS = {"crm": "hubspot", "billing": "stripe", "mail": "mailchimp", "campaigns": "activecampaign"}
_KEYS = {
    "crm": ("token", "CRM_TOKEN", 'streams = ["contacts"]'),
    "billing": ("key", "BILLING_KEY", 'account_id = "acct_sandbox"'),
    "mail": ("api_key", "MAIL_KEY", f'list_id = "{LIST}"'),
    "campaigns": ("api_key", "CAMPAIGNS_KEY", f'url = "{CAMPAIGNS_URL}"'),
}
"""The setting that is secret, the variable it comes from, and what else the connection needs."""


def sandboxes(clock: Callable[[], datetime], names: Iterable[str]) -> dict[str, Sandbox]:
    """Return the vendors that play *names*; their credentials are the planted ones, but for the e-mail tool's (conftest)."""
    keys: dict[str, dict[str, Any]] = {
        "crm": {"token": CRM_TOKEN},
        "billing": {"key": BILLING_KEY},
        "mail": {},
        "campaigns": {},
    }
    return {name: load_connector(_CONNECTORS[name]).sandbox(now=clock, rate_factor=1e6, **keys[name]) for name in names}


def without_sleep(monkeypatch: pytest.MonkeyPatch, slept: list[float]) -> None:
    """Let commands record what they sleep."""
    hub = App.hub
    monkeypatch.setattr(App, "hub", lambda app, **options: hub(app, **{"sleep": slept.append, **options}))
    monkeypatch.setattr(core.http, "open_api", lambda *a, **options: open_api(*a, **{"sleep": slept.append, **options}))
