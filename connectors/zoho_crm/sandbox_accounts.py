"""The accounts host of the sandbox: where people sign in, and access tokens, few at a time, with errors at status 200."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from core.contract import Ask, Desk, Reply, Unwelcome, Window

CLIENT: Final = "1000.SANDBOXCLIENT"
SECRET: Final = "sandbox-client-secret-0123456789"
REFRESH_TOKEN: Final = "1000.sandbox-refresh-token-0123456789"
TOKENS: Final = (10, 600.0)  # access tokens of one refresh token in ten minutes; accounts/protocol/oauth
TOO_OFTEN: Final = "You have made too many requests continuously. Please try again after some time."


class Accounts:
    """One client of the organisation, and the tokens that it was given."""

    def __init__(self, now: Callable[[], datetime], rate_factor: float, error_status: int) -> None:
        self.desk = Desk(now, client_id=CLIENT, client_secret=SECRET)
        """Where a code is got; the tokens are our own."""
        self.issued: list[str] = []
        """Access tokens that are good."""
        self.refresh_tokens = {REFRESH_TOKEN}
        self._error_status = error_status
        self._window = Window(TOKENS[0] * rate_factor, TOKENS[1])

    def authorize(self, ask: Ask) -> Reply:
        """Answer the sign-in page: back to where the person came from, with the host to fetch tokens at."""
        query = dict(ask.query)
        if (query.get("access_type"), query.get("prompt")) != ("offline", "consent"):  # there would be no refresh token
            return Reply(status=400, content=b"<html>Invalid request</html>", content_type="text/html")
        self.desk.sent_back = {"location": "eu", "accounts-server": ask.url.partition("/oauth/")[0]}
        try:
            return Reply(status=302, headers={"location": self.desk.authorize(query)})
        except Unwelcome:
            return Reply(status=400, content=b"<html>Invalid request</html>", content_type="text/html")

    def token(self, ask: Ask) -> Reply:
        """Answer the token endpoint."""
        form = ask.form()
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return self._refuse("invalid_client")
        answer: dict[str, Any] = {}
        match form.get("grant_type"):
            case "refresh_token":
                if form.get("refresh_token") not in self.refresh_tokens:
                    return self._refuse("invalid_code")
            case "authorization_code":
                try:
                    answer["refresh_token"] = f"1000.{self.desk.token(form)['refresh_token']}"
                except Unwelcome:
                    return self._refuse("invalid_code")
                self.refresh_tokens.add(answer["refresh_token"])
            case _:
                return self._refuse("unsupported_grant_type")
        if not self._window.admits():
            return self._refuse("Access Denied", error_description=TOO_OFTEN)
        self.issued.append(f"1000.access-{len(self.issued)}")
        origin = ask.url.partition("/oauth/")[0]
        answer |= {"access_token": self.issued[-1], "api_domain": origin, "token_type": "Bearer", "expires_in": 3600}
        return Reply(answer)

    def _refuse(self, error: str, **more: str) -> Reply:
        return Reply({"error": error, **more}, self._error_status)
