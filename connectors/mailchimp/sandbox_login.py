"""Where people sign in to the sandbox: the vendor's login host, on the same port as the rest."""

from __future__ import annotations

import threading
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from core.contract import Desk, Unwelcome


def login_routes(desk: Desk, lock: threading.RLock) -> list[Route]:
    """Return the three pages of the login host; tokens of *desk* have neither an end nor a renewal."""

    async def authorize(request: Request) -> Response:
        with lock:
            try:
                return RedirectResponse(desk.authorize(request.query_params), 302)
            except Unwelcome as refused:
                return Response(str(refused), 400, media_type="text/html")

    async def token(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        with lock:
            try:
                return JSONResponse({**desk.token(form), "expires_in": 0, "scope": None})
            except Unwelcome as refused:
                return JSONResponse({"error": str(refused)}, 400)

    async def metadata(request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        with lock:
            if scheme.lower() != "oauth" or not desk.welcomes(given):
                return JSONResponse({"error": "invalid_token"})  # Quirk 17: 200 all the same
        return JSONResponse({
            "dc": "us19", "accountname": "Example AB", "api_endpoint": str(request.base_url).rstrip("/"),
            "login": {"email": "owner@example.com"},
        })  # fmt: skip

    return [
        Route("/oauth2/authorize", authorize, methods=["GET"]),
        Route("/oauth2/token", token, methods=["POST"]),
        Route("/oauth2/metadata", metadata, methods=["GET"]),
    ]
