"""Acme's sandbox: contacts and lists with state, and under `/say` endpoints that answer what a test puts in `said`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.contract import Fault, ListChange, Sandbox

TOKEN = "acme-token-for-tests"


class AcmeSandbox(Sandbox):
    base_path = "/v2"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.contacts: dict[str, dict[str, Any]] = {}
        self.lists: dict[str, tuple[str, set[str]]] = {}
        self.said: list[Fault] = []
        """Answers of `/say`, in order; the last one stays."""
        self.heard: list[dict[str, Any]] = []
        """What `/say` and `/echo` were sent."""
        routes = [
            Route("/account", self._account),
            Route("/contacts", self._contacts),
            Route("/contacts/find", self._find, methods=["POST"]),
            Route("/lists", self._lists, methods=["GET", "POST"]),
            Route("/lists/{id}/members", self._members, methods=["GET", "POST"]),
            Route("/lines", self._lines),
            Route("/export.json.gz", self._export),
            Route("/{rest:path}", self._say, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]
        self._inner = Starlette(routes=routes)
        self.app = self._outer

    def settings(self) -> Mapping[str, object]:
        return {"token": TOKEN}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        if what not in ("people", "members"):
            raise KeyError(what)
        for row in rows:
            kept = self.contacts.setdefault(str(row["id"]), {"updated_at": self.now().isoformat()})
            kept.update({name: _plain(value) for name, value in row.items()})

    def delete(self, what: str, ids: Iterable[str]) -> None:
        for one in ids:
            del self.contacts[one]

    def audiences(self) -> Mapping[str, frozenset[str]]:
        return {name: frozenset(members) for name, members in self.lists.values()}

    async def _outer(self, scope: Any, receive: Any, send: Any) -> None:
        scope = {**scope, "path": scope["path"].removeprefix(self.base_path)}
        headers = dict(scope["headers"])
        if headers.get(b"authorization") != f"Bearer {TOKEN}".encode() and not scope["path"].startswith(("/open/", "/export")):
            await JSONResponse({"error": "unauthorized"}, 401)(scope, receive, send)
            return
        self.requests[f"{scope['method']} {scope['path']}"] += 1
        await self._inner(scope, receive, send)

    async def _account(self, request: Request) -> Response:
        return JSONResponse({"id": "acme-1"})

    async def _contacts(self, request: Request) -> Response:
        since, limit = request.query_params.get("updated_since", ""), int(request.query_params.get("limit", 100))
        rows = sorted((row["updated_at"], key) for key, row in self.contacts.items() if row["updated_at"] >= since)
        start = int(request.query_params.get("cursor", 0))
        page = [{"id": key, **self.contacts[key]} for _, key in rows[start : start + limit]]
        return JSONResponse({"contacts": page, "next": str(start + limit) if start + limit < len(rows) else None})

    async def _find(self, request: Request) -> Response:
        wanted = set((await request.json())["emails"])
        found: dict[str, list[str]] = {}
        for key, row in self.contacts.items():
            if row.get("email") in wanted:
                found.setdefault(row["email"], []).append(key)
        return JSONResponse({"found": found})

    async def _lists(self, request: Request) -> Response:
        if request.method == "GET":
            name = request.query_params.get("name")
            return JSONResponse({"lists": [{"id": key, "name": one} for key, (one, _) in self.lists.items() if one == name]})
        self.writes["POST /lists"] += 1
        key = str(len(self.lists) + 1)
        self.lists[key] = ((await request.json())["name"], set())
        return JSONResponse({"id": key}, 201)

    async def _members(self, request: Request) -> Response:
        name, members = self.lists[request.path_params["id"]]
        if request.method == "GET":
            return JSONResponse({"members": sorted(members)})
        self.writes["POST /lists/{id}/members"] += 1
        body = await request.json()
        unknown = [key for key in (*body["add"], *body["remove"]) if key not in self.contacts]
        for op, keys in (("add", body["add"]), ("remove", body["remove"])):
            for key in keys:
                if key not in unknown and (key in members) is (op == "remove"):
                    (members.add if op == "add" else members.remove)(key)
                    self.change_log.append(ListChange(name, op, key))
        return JSONResponse(
            {"done": [key for key in (*body["add"], *body["remove"]) if key not in unknown], "unknown": unknown}
        )

    async def _lines(self, request: Request) -> Response:
        count = int(request.query_params.get("count", 3))
        lines = [json.dumps({"n": number, "text": "one\u2028line"}, ensure_ascii=False) for number in range(count)]
        return Response("\n".join(lines) + "\n", media_type="application/x-ndjson")

    async def _export(self, request: Request) -> Response:
        self.heard.append({"headers": dict(request.headers)})
        return Response(gzip.compress(b"x" * int(request.query_params.get("size", 1000))), media_type="application/gzip")

    async def _say(self, request: Request) -> Response:
        body = await request.body()
        self.heard.append(
            {"method": request.method, "path": request.url.path, "query": request.url.query, "headers": dict(request.headers),
             "body": body.decode()}
        )  # fmt: skip
        if not self.said:
            return JSONResponse(self.heard[-1])
        answer = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        return Response(answer.body, answer.status, headers=dict(answer.headers))


SANDBOX = AcmeSandbox


def said(status: int = 200, body: object = None, **headers: str) -> Fault:
    """An answer for `AcmeSandbox.said`: JSON unless *body* is bytes."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status, {"content-type": "application/json", **names}, content)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
