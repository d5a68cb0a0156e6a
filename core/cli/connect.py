"""Signing in at a vendor in the browser, for a token that renews itself, and taking that back."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, App, DurationText, verb

if TYPE_CHECKING:
    from core.config.model import Config, ConnectionConfig
    from core.contract import Settings
    from core.registry import Connector
    from core.tokens import Exchange, Token, Vault

DEFAULT_PORT = 8919
"""Fixed, since most vendors want the redirect URI registered."""
PLACES = {"keyring": "the system keyring", "file": "a file beside the database that only you may read"}


@verb("connect", "tagalong connect crm")
@click.argument("connection")
@click.option("--no-browser", is_flag=True, help="Print the address instead of opening it; the answer may be pasted here.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True,
    help="Where on this machine the answer is caught: http://127.0.0.1:PORT/callback is registered at the vendor.",
)  # fmt: skip
@click.option("--redirect", "redirect_uri", metavar="URI", help="The redirect URI that is registered, if it is another.")
@click.option("--code", "by_code", is_flag=True, help="Ask for a code that the vendor's own console gave, without a browser.")
@click.option("--wait", type=DurationText(), default="5m", show_default=True, help="How long to wait for the answer.")
@click.option("--forget", is_flag=True, help="Forget the sign-in instead: the undo.")
@click.pass_obj
def connect_command(
    app: App,
    connection: str,
    no_browser: bool,
    port: int,
    redirect_uri: str | None,
    by_code: bool,
    wait: timedelta,
    forget: bool,
) -> int:
    """
    Sign in at a vendor, once; the token is kept and renewed.

    The connection needs the id and secret of an application made at the vendor; the connector's README says how.
    """
    from core.cli.app import known_names
    from core.config.secrets import resolve_settings
    from core.http import open_exchange
    from core.registry import load_connector

    config = app.config()
    known_names((connection,), config.connections, "connection")
    one = config.connections[connection]
    connector = load_connector(one.connector)
    if forget:
        return _forget(app, config, one, connector)
    settings = resolve_settings(connector, one, config.folder, app.environ)
    exchange = open_exchange(connector, settings, connection=connection)
    _vault(config, one).check()
    if by_code:
        token = exchange.by_code(click.prompt("Code", hide_input=True, err=True).strip())
    else:
        to = redirect_uri or f"http://127.0.0.1:{port}/callback"
        token = _in_browser(app, exchange, to, connector.manifest.title, no_browser=no_browser, limit_s=wait.total_seconds())
    account = _account(app, config, one, connector, settings, token)
    return _kept(app, config, one, exchange, token, account)


def _in_browser(app: App, exchange: Exchange, to: str, title: str, *, no_browser: bool, limit_s: float) -> Token:
    from core.errors import Stopped
    from core.signin import sign_in

    def show(address: str) -> None:
        app.say(f"The redirect URI is {to} (it has to be registered at {title}).")
        opened = not no_browser and _opened(address)
        app.say(f"{'If no page opens, open' if opened else 'Open'} this address in a browser:\n\n{address}\n")
        if typed is not None:
            app.say("Where the browser cannot come back here, paste the address that it ends at, and press Enter.")

    typed = sys.stdin if sys.stdin and (no_browser or sys.stdin.isatty()) else None
    try:
        return sign_in(exchange, to, show=show, typed=typed, limit_s=limit_s)
    except KeyboardInterrupt:
        raise Stopped("stopped before anybody had signed in; nothing has changed") from None


def _opened(address: str) -> bool:
    """Open *address* in a browser of its own; not in one that would take over the terminal of a machine without a desktop."""
    import webbrowser

    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys():
        return False
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False


def _account(
    app: App, config: Config, connection: ConnectionConfig, connector: Connector, settings: Settings, token: Token
) -> str | None:
    """
    Return the account that the token is for, None where the vendor cannot tell now.

    Raises:
        ConfigError: what is stored came from another account; the token is not kept, and an older one is.
    """
    from core.cli.setup import bound_account
    from core.errors import ConfigError, Problem, QuotaExhausted, TransientError
    from core.http import open_api

    try:
        with open_api(
            connector, settings, connection=connection.name, store_path=config.workspace.database, folder=config.folder,
            clock=app.clock, token=token, probe=True,
        ) as api:  # fmt: skip
            account = connector.account(api)
    except (TransientError, QuotaExhausted):
        return None
    bound = bound_account(config, connection.name)
    if bound is not None and bound != account:
        raise ConfigError(
            Problem(
                f"you signed in to account {account}, and what is stored came from account {bound}; the sign-in was not kept",
                key=f"connections.{connection.name}",
                remedy=f"sign in to the other account, or run `tagalong rebind {connection.name}` first to start as new",
            )
        )
    return account


def _kept(app: App, config: Config, connection: ConnectionConfig, exchange: Exchange, token: Token, account: str | None) -> int:
    from core.cli.setup import show_steps, steps_of
    from core.tokens import TokenKeeper

    place = TokenKeeper(exchange, _vault(config, connection)).keep(token)
    steps = list(steps_of(app, config, connection))
    code = FAILED if any(step.result == "failed" for step in steps) else 0
    ends_at = None if token.expires_at is None or token.refresh_token else datetime.fromtimestamp(token.expires_at, UTC)
    if app.as_json:
        told = {"connection": connection.name, "account": account, "kept_in": place, "scopes": list(exchange.auth.scopes)}
        return app.answer({**told, "ends_at": ends_at, "steps": steps}, code)
    whose = f"signed in to account {account}" if account else "signed in; the vendor cannot say now to which account"
    click.echo(f"{connection.name}: {whose}. The token is kept in {PLACES[place]}.")
    if ends_at:
        click.echo(f"  The vendor gave nothing to renew it with: it ends at {ends_at:%Y-%m-%d %H:%M}Z.")
    show_steps(steps)
    return code


def _forget(app: App, config: Config, connection: ConnectionConfig, connector: Connector) -> int:
    vault = _vault(config, connection)
    with vault.alone():
        forgotten = vault.forget()
    hint = _revoke_hint(connector, connection)
    if app.as_json:
        return app.answer({"connection": connection.name, "forgotten": forgotten, "revoke": hint})
    click.echo(f"{connection.name}: {'the sign-in is forgotten here' if forgotten else 'nobody was signed in'}.")
    if forgotten and hint:
        click.echo(f"{connector.manifest.title} still holds the permission; to take it back there: {hint}")
    return 0


def _revoke_hint(connector: Connector, connection: ConnectionConfig) -> str:
    from core.config.secrets import provisional_settings
    from core.contract import OAuth2
    from core.errors import ConfigError

    try:
        auth: Any = connector.auth(provisional_settings(connector.settings_model, connection.settings))
    except ConfigError:  # a secret that was not resolved may be read for more than its text
        return ""
    return auth.revoke_hint if isinstance(auth, OAuth2) else ""


def _vault(config: Config, connection: ConnectionConfig) -> Vault:
    from core.http import token_path
    from core.tokens import Vault

    return Vault(token_path(config.workspace.database, connection.name), config.workspace.tokens, by_hand=True)
