"""What may be wrong, each with what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from core.cli.app import FAILED, NEWS, App, verb

if TYPE_CHECKING:
    from core.doctor.finding import Finding


@verb("doctor", "tagalong doctor --deep")
@click.option("--deep", is_flag=True, help="Read every page and row too, which takes minutes where there are many.")
@click.pass_obj
def doctor_command(app: App, deep: bool) -> int:
    """
    Examine the file, the machine and the work.

    It reads only, and may run beside the daemon. Exit 1 where something failed, 3 where something should be looked at.
    """
    from core.cli.output import progress
    from core.doctor import examine
    from core.doctor.finding import Grade
    from core.log import configure

    configure({0: "error", 1: "info"}.get(app.verbosity, "debug"), None)
    found: list[Finding] = []
    with progress("Examining") as shown:
        for finding in examine(app.path, app.environ, app.clock, thorough=deep):
            found.append(finding)
            shown.say(f"{finding.check} {finding.grade}")
    grades = {finding.grade for finding in found}
    code = FAILED if Grade.FAILED in grades else NEWS if Grade.WARNED in grades else 0
    if app.as_json:
        return app.answer({"checks": found}, code)
    _show(found)
    return code


def _show(found: list[Finding]) -> None:
    from core.cli.drawing import prose
    from core.cli.output import clean
    from core.doctor.finding import Grade

    marks = {Grade.PASSED: "ok", Grade.SKIPPED: "-", Grade.NOTED: "note", Grade.WARNED: "look", Grade.FAILED: "FAILED"}
    for one in found:
        click.echo(prose(clean(f"{marks[one.grade]:8}{one.check:18}{one.told}".rstrip()), 26))
        if one.remedy:
            click.echo(prose(clean(f"{'':26}{one.remedy}"), 26))
