"""
Every connector in the registry, held to the contract before its author writes a test.

What speaks HTTP is tried against its own sandbox; `test_contract_faults` does the same under each fault of one table.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from support.suite import (
    DESTINATIONS,
    NAMES,
    ONLINE,
    SOURCES,
    api_of,
    examples_of,
    pages_of,
    pull_all,
    streams_of,
    with_small_pages,
)

from core.contract import UNSUPPORTED, Audience, Deletions, Kind, Op, Result, Verdict, pick
from core.errors import AuthError, ConfigError
from core.registry import Connector, load_connector

ROOT = Path(__file__).parents[2]
TIERS = {
    tier: re.findall(r"`([a-z-]+)`", rules)
    for tier, rules in re.findall(
        r"^\| (Bronze|Silver|Gold|Platinum) \|[^|]*\|([^|]*)\|", (ROOT / "docs/quality.md").read_text(), re.M
    )
}
TELLS_NOBODY = {"segment": "any write key is answered 200: its quirk 1"}
"""Vendors that take a wrong key for a right one; `check` has to say where to look instead."""
ANEW = {"amplitude": "an hour's archive", "google_analytics": "a day's report"}
"""Sources of which a part that was broken off is read from its beginning."""
MOST_RECORDS = 2000
"""More than this in one page would be a collection held."""
TIERS = {tier.lower(): rules for tier, rules in TIERS.items()}


@pytest.mark.parametrize("name", NAMES)
def test_manifest_is_complete(name: str):
    connector = load_connector(name)
    manifest = connector.manifest

    assert name == manifest.name
    assert manifest.title
    assert manifest.docs_url.startswith("https://")
    assert manifest.checked_on <= date.today()
    assert all(limit.amount > 0 and limit.per_s > 0 for limit in manifest.limits)
    if name in ONLINE:
        assert not manifest.base_url or manifest.base_url.startswith("https://")
        assert manifest.hosts
        assert manifest.limits


@pytest.mark.parametrize("name", NAMES)
def test_secrets_are_secrets(name: str):
    """A setting that sounds like a credential is a SecretStr, so that it cannot be printed."""
    for field, info in load_connector(name).settings_model.model_fields.items():
        if re.search(r"token|secret|password|api_key|^key$", field):
            assert "SecretStr" in str(info.annotation), field


@pytest.mark.parametrize("name", NAMES)
def test_settings_say_what_they_are(name: str):
    """`tagalong connectors NAME` prints it, and editors do from the JSON Schema."""
    connector = load_connector(name)
    models = [connector.settings_model, *(audience.Params for audience in connector.audiences.values())]
    models += [inner for model in models for inner in inner_models(model)]

    assert [] == [(model.__name__, key) for model in models for key, info in model.model_fields.items() if not info.description]


@pytest.mark.parametrize("name", NAMES)
def test_no_setting_is_read_and_ignored(name: str):
    """A connection of which nothing is pulled has no beginning, and one that speaks no HTTP no address; neither is offered."""
    connector = load_connector(name)
    meaningless = {"start"} if name not in SOURCES else set()
    meaningless |= {"base_url"} if name not in ONLINE else set()

    assert meaningless == set(connector.settings_model.unused)
    for key in meaningless:
        with pytest.raises(ValidationError, match=f"{key}\n.*means nothing here"):
            connector.settings_model.model_validate({key: "2026-01-01"})


def inner_models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The tables below a connection's own: each stream of a files connection."""
    parts = [part for info in model.model_fields.values() for part in (info.annotation, *get_args(info.annotation))]
    return [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]


@pytest.mark.parametrize("name", NAMES)
def test_the_tier_is_earned(name: str):
    """Every rule of the claimed tier and of those below it is done, or exempt with a reason."""
    quality = tomllib.loads((ROOT / "connectors" / name / "quality.toml").read_text())
    claimed = list(TIERS).index(quality["tier"])

    assert quality["owner"]
    for tier in list(TIERS)[: claimed + 1]:
        for rule in TIERS[tier]:
            status = quality["rules"][rule]
            assert status == "done" or (status["status"] == "exempt" and status["comment"]), rule
    assert not quality["rules"].keys() - {rule for rules in TIERS.values() for rule in rules}


@pytest.mark.parametrize("name", NAMES)
def test_payloads_say_where_they_are_from(name: str):
    for path in (ROOT / "tests" / "connectors" / name).glob("payloads/**/*.json"):
        payload = json.loads(path.read_text())
        assert {"source", "response"} <= payload.keys(), path.name
        assert {"from", "url", "date"} <= payload["source"].keys(), path.name
        assert not re.search(r"@(?!([\w-]+\.)*example\.com)[\w-]+\.\w", json.dumps(payload["response"]).lower()), path.name


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_tells_of_every_setting(name: str):
    readme = (ROOT / "connectors" / name / "README.md").read_text()
    connector = load_connector(name)
    models = [connector.settings_model, *(audience.Params for audience in connector.audiences.values())]

    assert len(readme) > 500
    for key in {key for model in models for key in model.model_fields} - connector.settings_model.unused.keys():
        assert re.search(rf"\b{key}\b", readme), key


@pytest.mark.parametrize("name", NAMES)
def test_quirks_are_numbered_and_name_tests_that_are_there(name: str):
    """And each that the code copes with is explained."""
    folder, tests = ROOT / "connectors" / name, ROOT / "tests" / "connectors"
    head, *quirks = re.split(r"^##+ (?=\d)", (folder / "QUIRKS.md").read_text(), flags=re.MULTILINE)
    numbers = [quirk.partition(".")[0] for quirk in quirks]
    files = [*tests.glob("test_*.py"), *(tests / name).glob("test_*.py")]
    known = {test for path in files for test in (path.stem, *re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))}

    assert head.startswith("# ")
    assert numbers == [str(number) for number in range(1, len(quirks) + 1)]
    for quirk in quirks:
        named = set(re.findall(r"`(test_\w+)", quirk))
        assert named or "no test" in quirk.lower(), quirk.partition("\n")[0]
        assert not named - known
    for path in folder.glob("*.py"):
        assert not set(re.findall(r"Quirks? (\d+)", path.read_text())) - set(numbers), path.name


@pytest.mark.parametrize("name", NAMES)
def test_imports_only_the_contract_and_the_errors(name: str):
    for path in (ROOT / "connectors" / name).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [module]
            for imported in names:
                if imported.split(".")[0] == "core" and alias_names(node) != {"errors"}:
                    assert imported in ("core.contract", "core.errors"), f"{path.name} imports {imported}"
                assert imported.split(".")[0] not in (
                    "httpx",
                    "requests",
                    "socket",
                    "urllib3",
                    "sqlite3",
                    "structlog",
                    "tenacity",
                )


def alias_names(node: ast.AST) -> set[str]:
    """Return what `from core import ...` brings; `errors` alone is the module that every connector may have."""
    return {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) and node.module == "core" else set()


def test_the_core_names_no_vendor():
    own = {"files", "segment"}  # words of ours, too; such a vendor is known by its hosts
    words = {rf"\b{name}\b" for name in NAMES if name not in own}
    words |= {re.escape(host) for name in NAMES for host in load_connector(name).manifest.hosts}
    names = re.compile("|".join(sorted(words)), re.IGNORECASE)
    texts = [path for path in (ROOT / "core").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {".py", ".toml"} <= {path.suffix for path in texts}
    for path in texts:
        assert not names.search(path.read_text()), path


@pytest.mark.parametrize("name", SOURCES)
def test_a_full_pull_ends_and_its_keys_are_unique(name: str, sandbox_api: Any):
    api = api_of(name, sandbox_api)
    for stream in streams_of(name, api).values():
        keys: list[str] = []
        for page in pages_of(api, stream):
            keys += [str(pick(record, stream.key)) for record in page.records]
            assert len(page.records) <= MOST_RECORDS
        assert keys, f"{stream.name} brought nothing: the sandbox has people in it"
        assert len(keys) == len(set(keys)), stream.name
        assert stream.deletions in Deletions


@pytest.mark.parametrize("name", SOURCES)
def test_a_pull_goes_on_after_a_kill_and_leaves_nobody_out(name: str, sandbox_api: Any, monkeypatch: pytest.MonkeyPatch):
    """What was read before it and what the token brings after it is everything, wherever it came (resume-after-kill)."""
    with_small_pages(name, monkeypatch)
    api = api_of(name, sandbox_api)
    tried = 0
    for stream in streams_of(name, api).values():
        for slice_ in [()] if stream.slices is None else [(each,) for each in list(stream.slices(api))[-3:]]:
            pages = list(stream.pull(api, None, None, *slice_))
            for read in {1, len(pages) // 2, len(pages) - 1} - {0}:
                if pages[read - 1].resume is None:
                    continue
                tried += 1
                rest = stream.pull(api, None, pages[read - 1].resume, *slice_)
                assert keys_of(stream, [*pages[:read], *rest]) == keys_of(stream, pages), f"{stream.name}, page {read}"
    assert tried or name in ANEW


def keys_of(stream: Any, pages: Iterable[Any]) -> set[str]:
    return {str(pick(record, stream.key)) for page in pages for record in page.records}


@pytest.mark.parametrize("name", ONLINE)
def test_check_passes_with_the_right_key_and_says_what_to_do_with_a_wrong_one(name: str, sandbox_api: Any):
    api = api_of(name, sandbox_api)
    check = load_connector(name).check
    assert check is not None
    assert {step.result for step in check(api)} <= {Result.PASSED, Result.SKIPPED}

    wrong = api_of(name, sandbox_api, **_wrong_key(load_connector(name), api))
    if name in TELLS_NOBODY:
        assert [step.remedy for step in check(wrong) if step.result is Result.SKIPPED]
        return
    failed = [step for step in check(wrong) if step.result is Result.FAILED]
    assert failed
    assert all(step.remedy for step in failed)
    with pytest.raises((AuthError, ConfigError)) as raised:  # a private key of which a part is changed is none
        for stream in streams_of(name, wrong).values():
            pull_all(wrong, stream)
        for example in () if name in SOURCES else examples_of(name, wrong):
            example.apply(wrong, example.create(wrong), example.refs, [])
    assert not any(secret in f"{raised.value} {raised.value!r}" for secret in _wrong_key(load_connector(name), api).values())


def _wrong_key(connector: Connector, api: Any) -> dict[str, str]:
    """Return the credentials of *api*, each with its middle changed: prefix and data centre stay as they were."""
    secrets = {k: getattr(api.settings, k) for k in connector.settings_model.model_fields}
    plain = {key: value.get_secret_value() for key, value in secrets.items() if isinstance(value, SecretStr)}
    return {key: f"{text[:8]}{'x' * 8}{text[16:]}" if len(text) > 16 else f"x{text[1:]}" for key, text in plain.items()}


@pytest.mark.parametrize("name", ONLINE)
def test_the_account_is_told_and_stays(name: str, sandbox_api: Any):
    api = api_of(name, sandbox_api)
    connector = load_connector(name)

    assert connector.account(api)
    assert connector.account(api) == connector.account(api)


@pytest.mark.parametrize("name", DESTINATIONS)
def test_pushing_twice_is_pushing_once_and_removal_undoes_it(name: str, sandbox_api: Any):
    api = api_of(name, sandbox_api)
    for example in examples_of(name, api):
        audience, refs, began = example.audience, example.refs, len(api.sandbox.change_log)
        assert len(refs) == 8
        readable = audience.members(api, "") is not UNSUPPORTED
        confirmed = {Verdict.DONE} if readable else {Verdict.DONE, Verdict.SENT}
        again = confirmed | {Verdict.NOOP}
        assert audience.lookup(api, example.name) is None
        audience_id = example.create(api)
        assert audience.lookup(api, example.name) in {audience_id, *(() if readable else (None,))}
        first = example.apply(api, audience_id, refs[:6], [])
        log = list(api.sandbox.change_log)
        second = example.apply(api, audience_id, refs[:6], [])

        assert [ref.remote_id for ref in refs[:6]] == [outcome.ref.remote_id for outcome in first]
        assert {outcome.verdict for outcome in first} <= (again if audience.seeded else confirmed)
        assert {outcome.verdict for outcome in second} <= again
        assert log == api.sandbox.change_log
        assert 6 == len(example.there(api))

        held = [outcome.ref for outcome in first[:3]]
        mixed = example.apply(api, audience_id, refs[6:], held)
        assert [ref.remote_id for ref in (*refs[6:], *held)] == [outcome.ref.remote_id for outcome in mixed]
        assert {outcome.verdict for outcome in mixed} <= confirmed
        assert 5 == len(example.there(api))
        gone = example.apply(api, audience_id, [], held)
        assert {outcome.verdict for outcome in gone} <= again
        ops = Counter(line.op for line in api.sandbox.change_log[began:])
        assert {Op.ADD: 8, Op.REMOVE: 3} == ops


@pytest.mark.parametrize("name", DESTINATIONS)
def test_an_audience_of_companies_is_known_by_a_stream_of_companies_alone(name: str, sandbox_api: Any):
    """Nobody is asked for a company, made for one, or told anything of it: the core would not know what to ask with."""
    api = api_of(name, sandbox_api)
    for example in examples_of(name, api):
        audience = type(example.audience)
        if audience.of == "company":
            assert Kind.COMPANY is streams_of(name, api)[str(audience.ids_from)].kind
            assert audience.find is Audience.find
            assert audience.create_people is None
            assert not (example.audience.wanted_fields() or audience.whole or audience.seeded)


@pytest.mark.parametrize("name", DESTINATIONS)
def test_members_reads_back_what_was_pushed(name: str, sandbox_api: Any):
    api = api_of(name, sandbox_api)
    for example in examples_of(name, api):
        audience_id = example.create(api)
        example.apply(api, audience_id, example.refs, [])
        pages = example.audience.members(api, audience_id)
        if pages is not UNSUPPORTED:
            assert {ref.remote_id for ref in example.refs} == {ref.remote_id for page in pages for ref in page}
