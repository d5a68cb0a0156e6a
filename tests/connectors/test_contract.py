"""
Every connector in the registry, held to the contract before its author writes a test.

What speaks HTTP is tried against its own sandbox; `test_contract_faults` does the same under each fault of one table.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from support.suite import DESTINATIONS, NAMES, ONLINE, SOURCES, audiences_of, pull_all, sandbox_of, streams_of

from core.contract import UNSUPPORTED, Change, Deletions, Op, Result, Verdict, pick
from core.errors import AuthError
from core.registry import Connector, load_connector

ROOT = Path(__file__).parents[2]
TIERS = {
    tier: re.findall(r"`([a-z-]+)`", rules)
    for tier, rules in re.findall(
        r"^\| (Bronze|Silver|Gold|Platinum) \|[^|]*\|([^|]*)\|", (ROOT / "docs/quality.md").read_text(), re.M
    )
}
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
def test_pages_for_people_are_there(name: str):
    folder = ROOT / "connectors" / name
    assert len((folder / "README.md").read_text()) > 500
    known = set(re.findall(r"^#+ .*?(\d+)", (folder / "QUIRKS.md").read_text(), re.MULTILINE))
    for path in folder.glob("*.py"):
        for number in re.findall(r"# Quirk (\d+)", path.read_text()):
            assert number in known, f"{path.name} copes with quirk {number}, which QUIRKS.md does not have"


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
    names = re.compile("|".join(rf"\b{name}\b" for name in NAMES if name != "files"), re.IGNORECASE)
    texts = [path for path in (ROOT / "core").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {".py", ".toml"} <= {path.suffix for path in texts}
    for path in texts:
        assert not names.search(path.read_text()), path


@pytest.mark.parametrize("name", SOURCES)
def test_a_full_pull_ends_and_its_keys_are_unique(name: str, sandbox_api: Any):
    api = sandbox_api(name, sandbox_of(name))
    for stream in streams_of(name, api).values():
        keys: list[str] = []
        for page in stream.pull(api, None, None):
            keys += [str(pick(record, stream.key)) for record in page.records]
            assert len(page.records) <= 1000
        assert keys, f"{stream.name} brought nothing: the sandbox has people in it"
        assert len(keys) == len(set(keys)), stream.name
        assert stream.deletions in Deletions


@pytest.mark.parametrize("name", ONLINE)
def test_check_passes_with_the_right_key_and_says_what_to_do_with_a_wrong_one(name: str, sandbox_api: Any):
    api = sandbox_api(name, sandbox_of(name))
    check = load_connector(name).check
    assert check is not None
    assert {step.result for step in check(api)} <= {Result.PASSED, Result.SKIPPED}

    wrong = sandbox_api(name, sandbox_of(name), **_wrong_key(load_connector(name), api))
    failed = [step for step in check(wrong) if step.result is Result.FAILED]
    assert failed
    assert all(step.remedy for step in failed)
    with pytest.raises(AuthError) as raised:
        for stream in streams_of(name, wrong).values():
            pull_all(wrong, stream)
    assert not any(secret in f"{raised.value} {raised.value!r}" for secret in _wrong_key(load_connector(name), api).values())


def _wrong_key(connector: Connector, api: Any) -> dict[str, str]:
    """Return the credentials of *api*, each with its middle changed: prefix and data centre stay as they were."""
    secrets = {k: getattr(api.settings, k) for k in connector.settings_model.model_fields}
    plain = {key: value.get_secret_value() for key, value in secrets.items() if isinstance(value, SecretStr)}
    return {key: f"{text[:8]}{'x' * 8}{text[16:]}" if len(text) > 16 else f"x{text[1:]}" for key, text in plain.items()}


@pytest.mark.parametrize("name", ONLINE)
def test_the_account_is_told_and_stays(name: str, sandbox_api: Any):
    api = sandbox_api(name, sandbox_of(name))
    connector = load_connector(name)

    assert connector.account(api)
    assert connector.account(api) == connector.account(api)


@pytest.mark.parametrize("name", DESTINATIONS)
def test_pushing_twice_is_pushing_once_and_removal_undoes_it(name: str, sandbox_api: Any):
    api = sandbox_api(name, sandbox_of(name))
    for audience, refs in audiences_of(name, api):
        assert len(refs) == 8
        assert audience.lookup(api, "Contract suite") is None
        audience_id = audience.create(api, "Contract suite", ())
        assert audience_id == audience.lookup(api, "Contract suite")
        adds = [Change(ref) for ref in refs[:6]]
        first = audience.apply(api, audience_id, adds, [])
        log = list(api.sandbox.change_log)
        second = audience.apply(api, audience_id, adds, [])

        assert [change.ref.remote_id for change in adds] == [outcome.ref.remote_id for outcome in first]
        assert {Verdict.DONE} == {outcome.verdict for outcome in first}
        assert {outcome.verdict for outcome in second} <= {Verdict.DONE, Verdict.NOOP}
        assert log == api.sandbox.change_log
        assert 6 == len(api.sandbox.audiences()["Contract suite"])

        mixed = audience.apply(api, audience_id, [Change(ref) for ref in refs[6:]], refs[:3])
        assert [ref.remote_id for ref in (*refs[6:], *refs[:3])] == [outcome.ref.remote_id for outcome in mixed]
        assert {Verdict.DONE} == {outcome.verdict for outcome in mixed}
        assert 5 == len(api.sandbox.audiences()["Contract suite"])
        gone = audience.apply(api, audience_id, [], refs[:3])
        assert {outcome.verdict for outcome in gone} <= {Verdict.DONE, Verdict.NOOP}
        assert [Op.ADD] * 8 + [Op.REMOVE] * 3 == [line.op for line in api.sandbox.change_log]


@pytest.mark.parametrize("name", DESTINATIONS)
def test_members_reads_back_what_was_pushed(name: str, sandbox_api: Any):
    api = sandbox_api(name, sandbox_of(name))
    for audience, refs in audiences_of(name, api):
        audience_id = audience.create(api, "Contract suite", ())
        audience.apply(api, audience_id, [Change(ref) for ref in refs], [])
        pages = audience.members(api, audience_id)
        if pages is not UNSUPPORTED:
            assert {ref.remote_id for ref in refs} == {ref.remote_id for page in pages for ref in page}
