"""`tagalong forget`: somebody out of every list, tool and table, with a certificate of what was done and what is left."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import FAILED, NEWS, App, verb

if TYPE_CHECKING:
    from core.forget.ask import Forgot


@verb("forget", "tagalong forget ann@example.com --dry-run")
@click.argument("who", required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be done; do nothing.")
@click.option("--everywhere", is_flag=True, help="Have the person erased in CRM, billing, support and survey tools as well.")
@click.option("--by-hand", metavar="CONNECTION", multiple=True, help="Do not ask this connection; list what to do there.")
@click.option("--certificate", type=click.Path(path_type=Path, dir_okay=False), help="Write the certificate to a file, too.")
@click.option("--lift", is_flag=True, help="Let a forgotten person come back.")
@click.option("--again", is_flag=True, help="Sweep out forgotten people whom a restored copy brought back.")
@click.option("--lost-key", is_flag=True, help="The key file is gone for good: let all forgotten people come back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def forget_command(
    app: App,
    who: str | None,
    dry_run: bool,
    everywhere: bool,
    by_hand: tuple[str, ...],
    certificate: Path | None,
    lift: bool,
    again: bool,
    lost_key: bool,
    yes: bool,
) -> int:
    """
    Erase a person, and never let them come back.

    WHO is an address, a user id, a profile id or KIND:VALUE. They are taken out of every audience that they were put into,
    erased in e-mail and analytics tools that can, deleted from the database with every trace of them, and left out of every
    later pull. What was interrupted is gone on with by the same command.
    """
    from core.forget.ask import Wish

    if sum((dry_run, lift, again, lost_key)) > 1 or (who is None) is not (lost_key or again):
        raise click.UsageError("say who, with one of --dry-run and --lift at most; or --again, or --lost-key, alone")
    _check_options(
        certificate, doing=not (dry_run or lift or again or lost_key), wishing=bool(everywhere or by_hand), dry_run=dry_run
    )
    if again:
        return _again(app)
    if lost_key:
        return _give_up_key(app, yes)
    wish = Wish(str(who), everywhere=everywhere, by_hand=frozenset(by_hand))
    if lift:
        return _lift(app, wish.who)
    if dry_run:
        return _preview(app, wish)
    return _forget(app, wish, certificate, yes)


def _check_options(certificate: Path | None, *, doing: bool, wishing: bool, dry_run: bool) -> None:
    """Refuse what would come to nothing: before anything is done, for a certificate is only written at the end."""
    if wishing and not (doing or dry_run):
        raise click.UsageError(
            "--everywhere and --by-hand say whom to ask; with --lift, --again and --lost-key nobody is asked"
        )
    if certificate is None:
        return
    if not doing:
        raise click.UsageError("--certificate is of somebody who is forgotten; nobody is now")
    if not os.access(certificate.absolute().parent, os.W_OK):
        raise click.UsageError(f"{certificate} cannot be written there; name a folder that is there and may be written to")


def _forget(app: App, wish: Any, path: Path | None, yes: bool) -> int:
    from core.cli.deliver import stopping
    from core.cli.output import progress
    from core.forget.flow import forget

    if not yes:
        where = " and in every tool that can" if wish.everywhere else ""
        click.confirm(f"Erase this person here{where}, for good? (--dry-run shows what that means.)", abort=True, err=True)
    with app.hub() as hub, stopping(hub.stop), progress("Forgetting") as bar:
        forgot = forget(hub, wish, step=bar.say)
    code = {"done": 0, "failed": FAILED}.get(str(forgot.status), NEWS)
    if path is not None:
        _write(path, forgot.certificate, app.as_json)
    if app.as_json:
        return app.answer(
            {"status": str(forgot.status), "certificate": forgot.certificate, "not_asked": dict(forgot.failed)}, code
        )
    _show(forgot.certificate)
    _tell_failed(app, forgot)
    return code


def _tell_failed(app: App, forgot: Forgot) -> None:
    for connection, reason in forgot.failed.items():
        app.say(f"{connection}: {reason}")
    if forgot.failed and "done_at" not in forgot.certificate:
        app.say(
            "They are still in the database, for that is what these connections are to be asked by; nobody stores or adds them"
            " any more. Call it again, or with `--by-hand CONNECTION` to do it there yourself."
        )


def _preview(app: App, wish: Any) -> int:
    from core.cli.output import clean
    from core.forget.certificate import foretold
    from core.forget.flow import preview

    with app.hub() as hub:
        made = preview(hub, wish)
    if app.as_json:
        return app.answer({"dry_run": True, "certificate": made})
    click.echo("Nothing is done yet. This is what would be:\n")
    for line in foretold(made):
        click.echo(clean(line))
    return 0


def _lift(app: App, who: str) -> int:
    from core.forget.flow import lift

    with app.hub() as hub:
        lifted = lift(hub, who)
    if app.as_json:
        return app.answer({"lifted": lifted}, 0 if lifted else FAILED)
    click.echo(
        "They may come back; `tagalong pull --full` asks for everybody. A no of theirs stands."
        if lifted
        else "Nobody of that name was forgotten."
    )
    return 0 if lifted else FAILED


def _again(app: App) -> int:
    from core.forget.flow import forget_again

    with app.hub() as hub:
        gone = forget_again(hub)
    if app.as_json:
        return app.answer({"swept": gone})
    click.echo(f"{gone} forgotten people were in the database again, and are out of it." if gone else "Nobody is back.")
    return 0


def _give_up_key(app: App, yes: bool) -> int:
    from core.forget.flow import give_up_key

    if not yes:
        click.confirm("Let everybody who was ever forgotten come back with the next pull?", abort=True, err=True)
    with app.hub() as hub:
        gone = give_up_key(hub)
    if app.as_json:
        return app.answer({"keyed_hashes": gone})
    click.echo(f"{gone} keyed hashes dropped: nobody is kept out any more.")
    return 0


def _show(certificate: Mapping[str, Any]) -> None:
    from core.cli.output import clean
    from core.forget.certificate import lines

    for line in lines(certificate):
        click.echo(clean(line))


def _write(path: Path, certificate: Mapping[str, Any], as_json: bool) -> None:
    """Write it as text, or as JSON where that was asked for or the file's name says so."""
    from core.cli.output import as_json as spelled
    from core.forget.certificate import lines

    text = spelled(certificate) if as_json or path.suffix == ".json" else "\n".join(lines(certificate))
    path.write_text(f"{text}\n", encoding="utf-8")
