"""
Stripe on loopback: the endpoints that the connector reads, over the account of `sandbox_state`, as unkind as the vendor.

Lists come newest first, ten at a time unless more is asked for; events are forgotten after 30 days and show objects in an old
shape; so does everything to whoever does not name the version. Customers can also be changed by hand (form-encoded,
idempotent), which the hub never does.
"""

from __future__ import annotations

import copy
import math
import threading
from base64 import b64decode
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.stripe.sandbox_lists import Refused, expanded, listed
from connectors.stripe.sandbox_shapes import old_shape
from connectors.stripe.sandbox_state import State
from core.contract import Sandbox, Window

VERSION = "2026-06-24.dahlia"
ENDPOINT_PER_S = 25  # docs.stripe.com/rate-limits: one endpoint
LIVE_PER_S, TEST_PER_S = 100, 25  # the account
GETTABLE = frozenset({"customers", "subscriptions", "invoices", "refunds", "credit_notes", "prices", "products", "coupons"})
RESTRICTED = {"account": "rak_accounts_kyc_id_numbers_read"}
"""What a restricted key never has here, as Stripe names it."""


class StripeSandbox(Sandbox):
    """
    An account.

    Args:
        key: the one it answers to; `rk_` is a restricted one, `_live_` makes it a live account.
        denied: resources that a restricted key may not read (`refunds`); may be changed at any time.
        rate_factor: times the vendor's limits; None or infinity for none.
    """

    base_path = "/v1"

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        key: str = "rk_test_sandbox",
        account: str = "acct_sandbox",
        denied: Iterable[str] = (),
        rate_factor: float | None = 1.0,
    ) -> None:
        super().__init__(now=now)
        self.key, self.account, self.denied = key, account, set(denied)
        self.rate_factor = math.inf if rate_factor is None else rate_factor
        self.state = State(lambda: self.now(), livemode="_live_" in key)
        self.faults: deque[tuple[int, dict[str, str], dict[str, Any]]] = deque()
        """Answers to give to the next requests instead of the right ones."""
        self._lock = threading.RLock()
        self._asked: dict[str, deque[float]] = defaultdict(deque)
        self._answered: dict[str, tuple[bytes, int, Any]] = {}
        self._number = 0
        self.app = Starlette(routes=[Route("/v1/{path:path}", self._answer, methods=["GET", "POST", "DELETE"])])

    def settings(self) -> Mapping[str, object]:
        return {"key": self.key, "account_id": self.account}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        load = {
            "customers": self.state.load_customer,
            "subscriptions": self.state.load_subscription,
            "invoices": self.state.load_invoice,
        }[what]
        with self._lock:
            for row in rows:
                load(row)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        delete = {
            "customers": self.state.delete_customer,
            "subscriptions": lambda id: self.state.load_subscription({"id": id, "status": "canceled"}),
            "invoices": self.state.delete_invoice,
        }[what]
        with self._lock:
            for id in ids:
                delete(id)

    def merge(self, what: str, loser: str, winner: str) -> None:
        raise KeyError(f"Stripe merges no {what}: two customers with one address are two billing accounts")

    def put(self, kind: str, made: dict[str, Any], *events: str) -> None:
        """Keep an object as it is, for what neutral rows cannot say (tiers, discounts of items, credit notes)."""
        with self._lock:
            self.state.put(kind, {"object": kind.removesuffix("s"), "created": int(self.now().timestamp()), **made}, *events)

    # one request

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        with self._lock:
            self._number += 1
            status, headers, answer = self._within_limits(request, body)
        headers = {"Request-Id": f"req_{self._number:06}", **headers}
        return JSONResponse(answer, status, headers)

    def _within_limits(self, request: Request, body: bytes) -> tuple[int, dict[str, str], Any]:
        parts = request.path_params["path"].strip("/").split("/")
        template = f"{request.method} /{parts[0]}" + "/{id}" * (len(parts) - 1)
        self.requests[template] += 1
        if request.method != "GET":
            self.writes[template] += 1
        self.state.served = True
        if self.faults:
            return self.faults.popleft()
        if reason := self._too_many(template):
            error = {"type": "invalid_request_error", "code": "rate_limit", "message": "Request rate limit exceeded."}
            return 429, {"Stripe-Rate-Limited-Reason": reason}, {"error": error}
        try:
            self._authorize(request, parts[0])
            if request.method == "GET":
                found = self._get(parts, parse_qsl(request.url.query, keep_blank_values=True))
                return 200, {}, found if request.headers.get("stripe-version") == VERSION else _aged(found)
            return self._once(request, parts, body)
        except Refused as refused:
            return refused.status, {}, {"error": refused.error}

    def _too_many(self, template: str) -> str | None:
        """Return the reason to refuse, by the machine's clock: that of a test's vendor stands still."""
        now = Window.seconds()
        account = LIVE_PER_S if self.state.livemode else TEST_PER_S
        for name, limit, reason in (("", account, "global-rate"), (template, ENDPOINT_PER_S, "endpoint-rate")):
            asked = self._asked[name]
            while asked and asked[0] <= now - 1:
                asked.popleft()
            if len(asked) >= limit * self.rate_factor:
                return reason
            asked.append(now)
        return None

    def _authorize(self, request: Request, resource: str) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            given = b64decode(given).decode().partition(":")[0]
        if given != self.key:
            raise Refused(401, "api_key_invalid", "Invalid API Key provided.")
        if self.key.startswith("rk_") and (resource in self.denied or resource in RESTRICTED or request.method != "GET"):
            verb = "read" if request.method == "GET" else "write"
            word = RESTRICTED.get(resource, f"rak_{resource.removesuffix('s')}_{verb}")
            message = f"The provided key does not have the required permissions. Having the '{word}' permission would allow it."
            raise Refused(403, None, message)

    def _get(self, parts: list[str], query: list[tuple[str, str]]) -> dict[str, Any]:
        match parts:
            case ["account"]:
                return {"id": self.account, "object": "account"}
            case [kind] if kind in self.state.objects:
                return listed(self.state, kind, query)
            case [kind, id] if kind in GETTABLE:
                if id in self.state.deleted[kind]:
                    return {"id": id, "object": kind.removesuffix("s"), "deleted": True}
                if id not in self.state.objects[kind]:
                    raise Refused(404, "resource_missing", f"No such {kind.removesuffix('s')}", param="id")
                asked = [value for name, value in query if name.startswith("expand[")]
                return expanded(self.state, self.state.objects[kind][id], asked)
        raise Refused(404, None, "Unrecognized request URL")

    def _once(self, request: Request, parts: list[str], body: bytes) -> tuple[int, dict[str, str], Any]:
        """Carry a write out, or say again what was said to the same Idempotency-Key."""
        key = request.headers.get("idempotency-key")
        if key in self._answered:
            known, status, answer = self._answered[key]
            if known != body:
                raise Refused(
                    400, None, "Keys for idempotent requests must have the same parameters.", type="idempotency_error"
                )
            return status, {"Idempotent-Replayed": "true"}, answer
        answer = self._write(request, parts, body)
        if key is not None:
            self._answered[key] = (body, 200, answer)
        return 200, {}, answer

    def _write(self, request: Request, parts: list[str], body: bytes) -> dict[str, Any]:
        if body and request.headers.get("content-type", "").split(";")[0] != "application/x-www-form-urlencoded":
            raise Refused(400, "parameter_unknown", "Invalid request: bodies are form-encoded")
        match request.method, parts:
            case "DELETE", ["customers", id] if id in self.state.objects["customers"]:
                self.state.delete_customer(id)
                return {"id": id, "object": "customer", "deleted": True}
            case "POST", ["customers", id] if id in self.state.objects["customers"]:
                made = copy.deepcopy(self.state.objects["customers"][id])
                for name, value in parse_qsl(body.decode(), keep_blank_values=True):
                    _assign(made, name, value)
                self.state.put("customers", made, "customer.updated")
                return made
        raise Refused(404, "resource_missing", "No such object", param="id")


def _assign(customer: dict[str, Any], name: str, value: str) -> None:
    """Set `email` or `metadata[key]`; an empty value takes a metadata key away."""
    key = name.removeprefix("metadata[").removesuffix("]")
    if key == name and name in {"email", "name", "phone"}:
        customer[name] = value
    elif key != name and value:
        customer["metadata"][key] = value
    elif key != name:
        customer["metadata"].pop(key, None)
    else:
        raise Refused(400, "parameter_unknown", f"Received unknown parameter: {name}", param=name)


def _aged(found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(found.get("data"), list):
        return found | {"data": [old_shape(one) for one in found["data"]]}
    return old_shape(found)


SANDBOX = StripeSandbox
