"""Members by the thousand: ingest jobs, pending until they are settled, one at a time, whatever becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from connectors.salesforce import campaigns
from connectors.salesforce.campaigns import Campaign, CampaignParams
from core.contract import Change, Fault, Outcome, Ref, Verdict
from core.errors import NotFoundError, TransientError
from core.sandbox import Reset

INGEST = "/services/data/v66.0/jobs/ingest"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make more than three many."""
    monkeypatch.setattr(campaigns, "JOB_ABOVE", 3)


def people(api: Any, count: int) -> list[Ref]:
    """Load people, every third a lead, and return who they are."""
    rows = [
        {"id": str(n), "email": f"p{n}@example.com", "company_id": None, "lifecycle_stage": "customer" if n % 3 else "lead"}
        for n in range(1, count + 1)
    ]
    api.sandbox.load("people", rows)
    return [Ref(api.sandbox.state.id_of("Contact" if n % 3 else "Lead", str(n))) for n in range(1, count + 1)]


def adds(refs: Sequence[Ref]) -> list[Change]:
    return [Change(ref) for ref in refs]


def jobs_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the jobs of pending outcomes, in order, once each."""
    assert all(outcome.verdict is Verdict.PENDING and outcome.job for outcome in outcomes)
    return list(dict.fromkeys(str(outcome.job) for outcome in outcomes))


def settled(api: Any, campaign: Campaign, id_: str, job: str) -> Mapping[str, Outcome]:
    """Ask until the job tells."""
    for _ in range(10):
        found = campaign.settle(api, id_, job)
        if found is not None:
            return found
    raise AssertionError("the job never ended")


def there(api: Any) -> set[str]:
    return set(api.sandbox.audiences()["VIP"])


def test_many_go_in_by_one_job(org: Callable[..., Any], campaign: Campaign) -> None:
    """One job, its rows sorted, pending at once; settled with the row of each, and as many requests as `cost` says."""
    api = org()
    refs = people(api, 9)
    id_ = campaign.create(api, "VIP", [])
    before = api.requests.total()
    outcomes = campaign.apply(api, id_, adds(refs[::-1]), [])
    (job,) = jobs_of(outcomes)
    found = settled(api, campaign, id_, job)

    assert api.requests.total() - before == campaign.cost(9, 0) == 6
    assert {ref.remote_id for ref in refs} == found.keys()
    assert {Verdict.DONE} == {outcome.verdict for outcome in found.values()}
    assert set(api.sandbox.state.records["CampaignMember"]) == {outcome.ref.handle for outcome in found.values()}
    assert {str(n) for n in range(1, 10)} == there(api)
    (sent,) = api.recorder.bodies("PUT", "/batches")
    assert sorted(ref.remote_id for ref in refs) == [row["ContactId"] or row["LeadId"] for row in sent]
    assert {id_} == {row["CampaignId"] for row in sent}


def test_few_go_by_collections(org: Callable[..., Any], campaign: Campaign) -> None:
    api = org()
    refs = people(api, 3)
    id_ = campaign.create(api, "VIP", [])

    assert {Verdict.DONE} == {outcome.verdict for outcome in campaign.apply(api, id_, adds(refs), [])}
    assert 0 == api.sandbox.requests[f"POST {INGEST}"]


def test_a_job_tells_nothing_while_it_runs(org: Callable[..., Any], campaign: Campaign) -> None:
    api = org(polls=3)
    id_ = campaign.create(api, "VIP", [])
    (job,) = jobs_of(campaign.apply(api, id_, adds(people(api, 4)), []))

    assert [None, None] == [campaign.settle(api, id_, job), campaign.settle(api, id_, job)]
    assert 4 == len(settled(api, campaign, id_, job))


def test_job_complete_does_not_mean_no_failures(org: Callable[..., Any], campaign: Campaign) -> None:
    """Gotcha: the failed rows are in a file of their own, each with its code; the others are done."""
    api = org()
    refs = people(api, 6)
    id_ = campaign.create(api, "VIP", [])
    campaign.apply(api, id_, adds(refs[:1]), [])
    api.sandbox.delete("people", ["2"])
    api.sandbox.rows.locked[refs[2].remote_id] = 1
    (job,) = jobs_of(campaign.apply(api, id_, adds([*refs, Ref("003xx0000099999AAA")]), []))
    found = settled(api, campaign, id_, job)

    verdicts = [found[ref.remote_id].verdict for ref in (*refs, Ref("003xx0000099999AAA"))]
    assert [Verdict.NOOP, Verdict.NOT_FOUND, Verdict.RETRY, *[Verdict.DONE] * 3, Verdict.NOT_FOUND] == verdicts
    assert 0 == api.sandbox.requests[f"GET {INGEST}/{{job}}/unprocessedrecords"]


def test_a_job_that_fails_half_way_tells_of_every_row(org: Callable[..., Any], campaign: Campaign) -> None:
    """What it did is done, what it did not come to is tried again: nothing lost, nothing twice."""
    api = org()
    refs = people(api, 8)
    id_ = campaign.create(api, "VIP", [])
    api.sandbox.jobs.failing = 1
    (job,) = jobs_of(campaign.apply(api, id_, adds(refs), []))
    found = settled(api, campaign, id_, job)
    again = [ref for ref in refs if found[ref.remote_id].verdict is Verdict.RETRY]

    assert (8, 4) == (len(found), len(again))
    (second,) = jobs_of(campaign.apply(api, id_, adds(again), []))
    assert {Verdict.DONE} == {outcome.verdict for outcome in settled(api, campaign, id_, second).values()}
    assert 8 == len(there(api)) == len(api.sandbox.change_log)


def test_many_go_out_by_their_rows(org: Callable[..., Any], campaign: Campaign) -> None:
    """The file of a deletion has nothing but row ids, so its outcomes are told by row: the handle of a member."""
    api = org()
    id_ = campaign.create(api, "VIP", [])
    (job,) = jobs_of(campaign.apply(api, id_, adds(people(api, 5)), []))
    members = [outcome.ref for outcome in settled(api, campaign, id_, job).values()]
    before = api.requests.total()
    (out,) = jobs_of(campaign.apply(api, id_, [], members))
    found = settled(api, campaign, id_, out)

    assert {ref.handle for ref in members} == found.keys()
    assert {Verdict.DONE} == {outcome.verdict for outcome in found.values()}
    assert api.requests.total() - before == campaign.cost(0, 5)
    assert set() == there(api)
    again = settled(api, campaign, id_, jobs_of(campaign.apply(api, id_, [], members))[0])
    assert {Verdict.NOOP} == {outcome.verdict for outcome in again.values()}


def test_removals_without_a_row_are_looked_up_first(org: Callable[..., Any], campaign: Campaign) -> None:
    api = org()
    refs = people(api, 5)
    id_ = campaign.create(api, "VIP", [])
    settled(api, campaign, id_, jobs_of(campaign.apply(api, id_, adds(refs), []))[0])
    outcomes = campaign.apply(api, id_, [], [*refs, Ref("003xx0000099999AAA")])

    assert [Verdict.PENDING] * 5 + [Verdict.NOOP] == [outcome.verdict for outcome in outcomes]
    settled(api, campaign, id_, jobs_of(outcomes[:5])[0])
    assert set() == there(api)
    assert {Verdict.NOOP} == {outcome.verdict for outcome in campaign.apply(api, id_, [], refs)}  # no job for nobody


def test_of_one_campaign_one_job_runs_at_a_time(org: Callable[..., Any], campaign: Campaign) -> None:
    """Gotcha: jobs of one campaign contend for its lock, so the second waits, filled, until the first has ended."""
    api = org(polls=2)
    refs = people(api, 10)
    id_ = campaign.create(api, "VIP", [])
    first = settled(api, campaign, id_, jobs_of(campaign.apply(api, id_, adds(refs[:5]), []))[0])
    before = api.requests.total()
    out, into = jobs_of(campaign.apply(api, id_, adds(refs[5:]), [outcome.ref for outcome in first.values()])[::-1])
    assert ["Open", "UploadComplete"] == sorted(job.state for job in list(api.sandbox.jobs.jobs.values())[1:])
    assert campaign.settle(api, id_, into) is None
    assert "Open" == api.sandbox.jobs.jobs[into.partition(" ")[0]].state
    gone, come = settled(api, campaign, id_, out), settled(api, campaign, id_, into)

    assert {Verdict.DONE} == {outcome.verdict for outcome in (*gone.values(), *come.values())}
    assert {str(n) for n in range(6, 11)} == there(api)
    assert api.requests.total() - before >= campaign.cost(5, 5)


@pytest.mark.parametrize(("into", "out"), [(2, 5), (5, 2)])
def test_many_one_way_and_few_the_other(org: Callable[..., Any], campaign: Campaign, into: int, out: int) -> None:
    """Removals are always first: few by a collection before the job, many by a job that the few additions wait for."""
    api = org()
    refs = people(api, 10)
    id_ = campaign.create(api, "VIP", [])
    first = settled(api, campaign, id_, jobs_of(campaign.apply(api, id_, adds(refs[:5]), []))[0])
    outcomes = campaign.apply(api, id_, adds(refs[5 : 5 + into]), [o.ref for o in first.values()][:out])
    for job in dict.fromkeys(str(outcome.job) for outcome in outcomes[::-1] if outcome.job):
        settled(api, campaign, id_, job)

    assert 5 - out + into == len(there(api))
    assert (out > 3) is (1 < sum(api.sandbox.requests[f"POST {path}"] for path in (INGEST,)) - 1)


@pytest.mark.parametrize("way", [Reset(act=True), Reset(), Fault(503, {}, b"")], ids=["lost after", "lost before", "503"])
def test_a_start_whose_answer_is_lost_is_seen_to_later(org: Callable[..., Any], campaign: Campaign, way: Any) -> None:
    """Whether the job runs is asked when it is settled, and one that does not is told to start again: no second job."""
    api = org()
    id_ = campaign.create(api, "VIP", [])
    refs = people(api, 4)
    api.served.faults = lambda method, _p, _n: way if method == "PATCH" else None
    (job,) = jobs_of(campaign.apply(api, id_, adds(refs), []))
    api.served.faults = None

    assert {Verdict.DONE} == {outcome.verdict for outcome in settled(api, campaign, id_, job).values()}
    assert (1, 4) == (api.sandbox.requests[f"POST {INGEST}"], len(there(api)))


@pytest.mark.parametrize("act", [True, False])
def test_rows_that_did_not_arrive_make_another_job(org: Callable[..., Any], campaign: Campaign, act: bool) -> None:
    """A job that was never started does nothing, so the batch can be sent again as if nothing had been."""
    api = org()
    id_ = campaign.create(api, "VIP", [])
    refs = people(api, 4)
    api.served.faults = lambda method, _p, _n: Reset(act=act) if method == "PUT" else None
    with pytest.raises(TransientError):
        campaign.apply(api, id_, adds(refs), [])
    api.served.faults = None
    assert set() == there(api)

    (job,) = jobs_of(campaign.apply(api, id_, adds(refs), []))
    settled(api, campaign, id_, job)
    assert 4 == len(there(api)) == len(api.sandbox.change_log)


def test_a_job_that_the_vendor_forgot_is_told(org: Callable[..., Any], campaign: Campaign) -> None:
    """404: the core then counts its members as unsure and sends them again. A forgotten first job holds up no second one."""
    api = org()
    id_ = campaign.create(api, "VIP", [])
    with pytest.raises(NotFoundError):
        campaign.settle(api, id_, "750xx0000009999AAA")

    refs = people(api, 8)
    first = settled(api, campaign, id_, jobs_of(campaign.apply(api, id_, adds(refs[:4]), []))[0])
    out, into = jobs_of(campaign.apply(api, id_, adds(refs[4:]), [o.ref for o in first.values()])[::-1])
    settled(api, campaign, id_, out)
    del api.sandbox.jobs.jobs[out]
    assert 4 == len(settled(api, campaign, id_, into))


def test_no_job_is_made_for_a_campaign_that_is_gone(org: Callable[..., Any], campaign: Campaign) -> None:
    api = org()

    with pytest.raises(NotFoundError):
        campaign.apply(api, "701xx0000099999AAA", adds(people(api, 4)), [])
    assert 0 == api.sandbox.requests[f"POST {INGEST}"]


def test_no_member_is_named_in_a_reason(org: Callable[..., Any], campaign: Campaign) -> None:
    api = org()
    id_ = campaign.create(api, "VIP", [])
    (job,) = jobs_of(campaign.apply(api, id_, adds([Ref(f"003xx000009999{n}AAA") for n in range(4)]), []))

    assert {"INVALID_CROSS_REFERENCE_KEY"} == {outcome.reason for outcome in settled(api, campaign, id_, job).values()}


@pytest.mark.parametrize(
    ("into", "out"), [(0, 0), (3, 0), (0, 3), (3, 3), (4, 0), (0, 4), (4, 1), (1, 4), (4, 4), (250, 0), (3, 250)]
)
def test_cost_is_what_is_sent(org: Callable[..., Any], into: int, out: int) -> None:
    """Every row known and every job done at the first question: then `cost` is exact, settling included."""
    api = org()
    campaign = Campaign(CampaignParams())
    id_ = campaign.create(api, "VIP", [])
    refs = people(api, into + out)
    state = api.sandbox.state
    known = []
    for ref in refs[into:]:
        field = "LeadId" if ref.remote_id.startswith("00Q") else "ContactId"
        row = state.make("CampaignMember", {"CampaignId": id_, field: ref.remote_id})
        known.append(Ref(ref.remote_id, handle=row["Id"]))
    before = api.requests.total()
    outcomes = campaign.apply(api, id_, adds(refs[:into]), known) if refs else []
    for job in dict.fromkeys(str(outcome.job) for outcome in outcomes[::-1] if outcome.job):
        settled(api, campaign, id_, job)

    assert campaign.cost(into, out) == api.requests.total() - before
    assert into == len(there(api))


def test_a_recorded_file_of_failed_rows_is_read(
    fake_api: Callable[..., Any], respx_mock: Any, payload: Any, campaign: Campaign
) -> None:
    """The code before the first colon; the rest may quote people and is not kept."""
    base, job = "https://acme.my.salesforce.com", "750xx0000000001AAA"
    respx_mock.post(f"{base}/services/oauth2/token").respond(json=payload("token")["response"]["body"])
    told = {"id": job, "operation": "insert", "state": "JobComplete", "numberRecordsProcessed": 2, "numberRecordsFailed": 2}
    respx_mock.get(f"{base}{INGEST}/{job}").respond(json=told)
    files = {"successfulResults": '"sf__Id","sf__Created","CampaignId","ContactId","LeadId"\n'}
    files["failedResults"] = payload("failed_rows")["response"]["body"]
    for name, text in files.items():
        respx_mock.get(f"{base}{INGEST}/{job}/{name}").respond(text=text, headers={"content-type": "text/csv"})
    api = fake_api("salesforce", {"domain": "acme", "client_id": "3MVG9", "client_secret": "s3cret"})
    found = campaign.settle(api, "701xx00000ABCDEAAA", job)

    assert found is not None
    assert {
        "003xx0000012345AAA": (Verdict.NOOP, "a member already"), "00Qxx0000012345AAA": (Verdict.RETRY, "UNABLE_TO_LOCK_ROW"),
    } == {who: (outcome.verdict, outcome.reason) for who, outcome in found.items()}  # fmt: skip
