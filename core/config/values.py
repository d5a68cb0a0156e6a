"""What the value of a key may be, whatever table it is in: durations, schedules, zones, money, shares, guards."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from core.config.countries import ConsentRules, contradictions, wrong_countries
from core.config.environment import EnvText
from core.config.model import Cron, Every, Guard, Schedule
from core.config.names import nearest, suggest
from core.config.table import problem
from core.durations import parse_duration
from core.service.schedule import check_cron

LONGEST_DELAY = timedelta(days=366)
"""Of a removal."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise problem(f"must be text, not {value!r}")
    return value


def _duration(value: object) -> timedelta:
    try:
        duration = parse_duration(_text(value))
    except ValueError as error:
        raise problem(str(error)) from error
    if not duration:
        raise problem("must be longer than nothing")
    return duration


def _delaying(value: object) -> timedelta:
    duration = _duration(value)
    if duration > LONGEST_DELAY:
        raise problem("must not be longer than a year", "write mode = 'add_only' if nobody is ever to be removed")
    return duration


def _schedule(value: object) -> Schedule:
    text = " ".join(_text(value).split())
    if " " not in text:
        try:
            return Every(_duration(text))
        except PydanticCustomError as error:
            raise problem(f"{text!r} is no schedule", "write a distance as '15m', or cron as '*/15 * * * *'") from error
    try:
        check_cron(text)
    except ValueError as error:
        remedy = "'0 6 * * 1-5' is six in the morning on weekdays; '30m' is each half hour"
        raise problem(str(error), remedy) from error
    return Cron(text)


def _zone(value: object) -> ZoneInfo:
    name = _text(value)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise problem(f"{name!r} is no time zone", _meant_zone(name)) from error


def _meant_zone(name: str) -> str:
    close = nearest(name, available_timezones())  # six hundred names are no help
    return f"did you mean {close}?" if close else "write its IANA name, as 'Europe/Stockholm'"


def _segment_zone(value: object) -> ZoneInfo | Literal["person"]:
    if value == "person":
        return "person"
    try:
        return _zone(value)
    except PydanticCustomError as error:
        name = str(value)
        remedy = "did you mean person?" if nearest(name, ["person"]) else _meant_zone(name)
        raise problem(f"{name!r} is no time zone", remedy) from error


def _currency(value: object) -> str:
    import pycountry  # reads a table; only when a config is read

    code = _text(value)
    if pycountry.currencies.get(alpha_3=code.upper()) is None:
        raise problem(f"{code!r} is no currency", "write its ISO 4217 code, as 'EUR'")
    return code.upper()


def _rates(value: object) -> dict[date, dict[str, Decimal]]:
    if not isinstance(value, dict):
        raise problem("must be a table of dates", 'write [workspace.rates."2026-01-01"] and under it USD = 0.92')
    return {_day(day): {_currency(code): _rate(code, worth) for code, worth in of.items()} for day, of in _tables(value)}


def _tables(value: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    for day, of in value.items():
        if not isinstance(of, dict):
            raise problem(f"{day}: must be a table of currencies, as USD = 0.92")
    return list(value.items())


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise problem(f"{text!r} is no date", "write it as 2026-01-31") from error


def _rate(code: str, worth: object) -> Decimal:
    try:
        rate = Decimal(str(worth))
    except InvalidOperation:
        rate = Decimal(0)
    if isinstance(worth, bool) or not rate.is_finite() or rate <= 0:
        raise problem(f"{code}: what one {code} is worth must be a number above 0, not {worth!r}")
    return rate


def _flag(value: object) -> object:
    if isinstance(value, EnvText):  # the environment has only text
        return {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
    return value


def _flag_type(value: object) -> bool:
    if not isinstance(value, bool):
        raise problem(f"must be true or false, without quotes, not {value!r}")
    return value


def _guard(value: object) -> Guard:
    if not isinstance(value, dict):
        raise problem("must be a table", 'write { removals = "20%", adds = 500 }')
    if wrong := value.keys() - {"removals", "adds"}:
        raise problem(f"unknown key {min(wrong)}", suggest(min(wrong), ["removals", "adds"]))
    limits: dict[str, Any] = {}
    for way, limit in value.items():
        share = _share(limit)
        if share is not None:
            limits[f"{way}_share"] = share
        elif isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1:
            limits[f"{way}_count"] = limit
        else:
            raise problem(f"{way}: must be a share from '1%' to '99%' or a count of people from 1, not {limit!r}")
    return Guard(**limits)


def _limit(value: object) -> float | int:
    share = _share(value)
    if share is not None:
        return share
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise problem(f"must be a share from '1%' to '99%' or a count from 1, not {value!r}")


def _consent(value: object) -> ConsentRules:
    if not isinstance(value, dict):
        raise problem("must be a table", 'write { opt_in = ["EEA", "CH"], unknown = "opt_in" }')
    keys = ["opt_in", "opt_out", "unknown"]
    if wrong := value.keys() - set(keys):
        raise problem(f"unknown key {min(wrong)}", suggest(min(wrong), keys))
    unknown = value.get("unknown", "opt_in")
    if unknown not in ("opt_in", "opt_out"):
        raise problem(f"unknown: {unknown!r} is neither 'opt_in' nor 'opt_out'")
    named: dict[str, frozenset[str]] = {}
    for key in ("opt_in", "opt_out"):
        names = value.get(key, [])
        if not isinstance(names, list):
            raise problem(f"{key}: must be a list of countries, in square brackets")
        if nobody := wrong_countries(names):
            remedy = "write ISO codes of two letters ('SE'), 'EU', 'EEA', or '*' for every country"
            raise problem(f"{key}: {nobody[0]!r} is no country", remedy)
        named[key] = frozenset(names)
    rules = ConsentRules(named["opt_in"], opt_out=named["opt_out"], unknown=unknown)
    if both := contradictions(rules):
        raise problem(
            f"{both[0]} is to be both opt_in and opt_out", "a country may be an exception of a group, or a group of '*'"
        )
    if not rules.opt_in and value:
        raise problem("names no opt_in country, so it changes nothing", 'write opt_in = ["EEA"], or leave it out')
    return rules


def _share(limit: object) -> float | None:
    if not isinstance(limit, str) or not limit.strip().endswith("%"):
        return None
    try:
        share = float(limit.strip()[:-1]) / 100
    except ValueError:
        return None
    return share if 0 < share < 1 else None


def _reserve(value: object) -> str:
    text = value.replace(" ", "") if isinstance(value, str) else ""
    try:
        share = float(text.removesuffix("%")) if text.endswith("%") else -1.0
    except ValueError:
        share = -1.0
    if not 0 <= share <= 90:
        raise problem(
            f"must be a share from '0%' to '90%', not {value!r}", 'reserve = "20%" leaves a fifth of a quota to people'
        )
    return text


_DURATION_SCHEMA = {"type": "string", "pattern": r"^\d+\s*[smhdw]$", "examples": ["15m", "24h", "30d"]}
_LIMIT_SCHEMA = {"anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?%$"}, {"type": "integer", "minimum": 1}]}

Delaying = Annotated[timedelta, PlainValidator(_delaying), WithJsonSchema(_DURATION_SCHEMA)]
Duration = Annotated[timedelta, PlainValidator(_duration), WithJsonSchema(_DURATION_SCHEMA)]
ScheduleText = Annotated[
    Schedule, PlainValidator(_schedule), WithJsonSchema({"type": "string", "examples": ["15m", "*/15 * * * *"]})
]
Zone = Annotated[ZoneInfo, PlainValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Stockholm"]})]
SegmentZone = Annotated[
    ZoneInfo | Literal["person"],
    PlainValidator(_segment_zone),
    WithJsonSchema({"type": "string", "examples": ["Europe/Stockholm", "person"]}),
]
ReserveText = Annotated[
    str, PlainValidator(_reserve), WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?%$", "examples": ["20%"]})
]
Currency = Annotated[str, PlainValidator(_currency), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{3}$"})]
Flag = Annotated[bool, PlainValidator(_flag_type), BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]
Rates = Annotated[
    dict[date, dict[str, Decimal]],
    PlainValidator(_rates),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "object", "additionalProperties": {"type": "number"}}}),
]
_COUNTRIES_SCHEMA = {"type": "array", "items": {"type": "string", "pattern": r"^([A-Z]{2}|EEA|\*)$"}}
ConsentTable = Annotated[
    ConsentRules,
    PlainValidator(_consent),
    WithJsonSchema({
        "type": "object",
        "properties": {
            "opt_in": _COUNTRIES_SCHEMA, "opt_out": _COUNTRIES_SCHEMA, "unknown": {"enum": ["opt_in", "opt_out"]}
        },
        "additionalProperties": False,
    }),
]  # fmt: skip
GuardTable = Annotated[
    Guard,
    PlainValidator(_guard),
    WithJsonSchema({
        "type": "object", "properties": {"removals": _LIMIT_SCHEMA, "adds": _LIMIT_SCHEMA}, "additionalProperties": False
    }),
]  # fmt: skip


Limit = Annotated[float | int, PlainValidator(_limit), WithJsonSchema(_LIMIT_SCHEMA)]
