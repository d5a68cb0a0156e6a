"""Which project the credentials are for, what they may do there, and whether events are dated as the settings say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Final

from connectors.mixpanel.events import epoch_s_of, read_lines
from connectors.mixpanel.profiles import ask
from connectors.mixpanel.vendor import COHORTS, Plane, Settings, at, project
from connectors.mixpanel.windows import DAY, Window, today_of
from core.contract import Api, CheckStep, Json, Step, check_steps
from core.errors import AuthError, ConfigError, Problem, ProtocolError

SAMPLE: Final = 200
"""Events that are looked at to see how times are written."""
NEAR: Final = timedelta(minutes=10).total_seconds()
"""An event that the vendor took in this soon after it happened was sent as it happened."""
NOBODY: Final = "tagalong-check"
"""A distinct id that nobody has: the answer is small, and shows whether one may ask."""


def account(api: Api) -> str:
    """Return `region/project`, once the project's cohorts were shown: credentials of another one are told here."""
    settings: Settings = api.settings
    _see_project(api)
    return f"{settings.region}/{settings.project_id}"


def check(api: Api) -> Iterator[CheckStep]:
    """Reach, sign in, export, read profiles, and hold the events' times against the clock."""
    yield from check_steps(api, _STEPS)


def _reach(api: Api) -> str:
    with suppress(AuthError):  # it answered; the next step says what is wrong
        _cohorts(api)
    return ""


def _see_project(api: Api) -> str:
    settings: Settings = api.settings
    others = {str(cohort["project_id"]) for cohort in _cohorts(api) if cohort.get("project_id") is not None}
    if others - {settings.project_id}:
        raise ConfigError(
            Problem(
                f"the credentials are for project {', '.join(sorted(others))}, but project_id says {settings.project_id}",
                remedy="set project_id to the project that is meant, or use credentials of that one",
            )
        )
    until = "; project secrets end on 3 March 2027: make a service account" if settings.project_secret else ""
    return f"project {settings.project_id}{until}"


def _cohorts(api: Api) -> Json:
    """Return the saved cohorts: the one question that every plan permits (Quirk 13)."""
    settings: Settings = api.settings
    body = api.post(at(settings, Plane.QUERY, COHORTS), params=project(settings), repeat=True)
    if not isinstance(body, list):
        raise ProtocolError("the answer holds no list of cohorts")
    return body


def _export(api: Api) -> str:
    """Export a few events, and see by which clock they are dated (Quirk 4)."""
    settings: Settings = api.settings
    today = today_of(settings, api.now)
    offset = settings.zone.utcoffset(api.now.astimezone(settings.zone).replace(tzinfo=None))
    votes = {False: 0, True: 0}
    events = 0
    for line in read_lines(api, Window(today - DAY, today, span=2), limit=SAMPLE):
        events += 1
        time_s, taken_s = (epoch_s_of(line["properties"].get(name)) for name in ("time", "mp_processing_time_ms"))
        if offset and time_s is not None and taken_s is not None:
            late_s = taken_s - time_s
            votes[False] += abs(late_s) < NEAR
            votes[True] += abs(late_s + offset.total_seconds()) < NEAR
    if votes[not settings.wall_clock] > votes[settings.wall_clock] + SAMPLE // 20:
        written = 'times = "utc"' if settings.wall_clock else 'days = "project"'
        raise ConfigError(f"the events' times are not by the clock that the settings say: {written} would fit")
    return f"{events} events of yesterday and today"


def _profiles(api: Api) -> str:
    ask(api, [], distinct_ids=f'["{NOBODY}"]')
    return ""


def _token(api: Api) -> str:
    settings: Settings = api.settings
    if settings.token is None:
        raise ConfigError("no project token: profile properties cannot be written")
    return f"Mixpanel does not tell whose token it is: see that it is that of project {settings.project_id}"


_STEPS: Final = (
    Step("reach", _reach, "Check the network, and `region`: it is the project's data residency."),
    Step(
        "authenticate",
        _see_project,
        "Check service_account, secret and project_id, that the account has not expired, that it has the role Analyst or"
        " higher in this project, and `region`: elsewhere credentials look wrong.",
    ),
    Step(
        "profiles",
        _profiles,
        'If the plan has no Engage API, leave profiles out: streams = ["events"].',
        needed=False,
    ),
    Step("token", _token, "Set token to the Project Token, where a sync writes to Mixpanel.", needed=False),
    Step(
        "export",
        _export,
        "Give the service account the role Analyst or higher, set timezone to the project's, and days and times as README.md"
        " says.",
    ),
)
