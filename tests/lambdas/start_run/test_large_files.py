"""Large drops go to a job of their own, and their runs are like any other from then on."""

from __future__ import annotations

import pytest

from lambdas.archive import handler as archive
from lambdas.notify import handler as notify
from lambdas.start_run import handler
from lambdas.sweep import handler as sweep_handler
from schemas.messages import drop_message, replay_message, retract_message
from schemas.runs import RunArguments
from tests.lambdas.archive.archiving import loaded
from tests.lambdas.cloud import (
    ARCHIVE,
    DAY_KEY,
    DIMENSIONS_JOB,
    DROPS,
    LARGE_JOB,
    TRANSACTIONS_JOB,
    Cloud,
    Invocation,
    Killed,
    killed_at,
    recorded,
)
from tests.lambdas.reports import failed, succeeded
from tests.lambdas.start_run.starting import deliver, glue_answers, refusal
from tests.lambdas.sweep.sweeping import Calls, deliver_what_was_sent, etag, sweep

LIMIT = 1000


def set_limit(monkeypatch: pytest.MonkeyPatch, job: str, limit: int) -> None:
    """The functions' environment after `pulumi up`."""
    for name, value in {"LARGE_JOB": job, "LARGE_FILE_BYTES": str(limit)}.items():
        monkeypatch.setenv(name, value)
    handler.dependencies.cache_clear()


@pytest.fixture
def large(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A stack that loads drops of 1,000 bytes and more with its large job."""
    set_limit(monkeypatch, LARGE_JOB, LIMIT)
    return cloud


def jobs_started(cloud: Cloud) -> list[str]:
    return [job for job in (TRANSACTIONS_JOB, LARGE_JOB, DIMENSIONS_JOB) for _ in cloud.runs(job)]


@pytest.mark.parametrize(
    ("bytes_", "job"),
    [(LIMIT - 1, TRANSACTIONS_JOB), (LIMIT, LARGE_JOB), (LIMIT + 1, LARGE_JOB), (0, TRANSACTIONS_JOB)],
)
def test_a_drop_goes_to_the_large_job_from_the_limit_on(large: Cloud, bytes_: int, job: str) -> None:
    drop = large.drop(body=b"x" * bytes_)
    assert deliver(large, drop_message(drop)) == []
    assert jobs_started(large) == [job]
    assert large.drop_of(large.runs(job)[0]) == (drop, 1)
    assert large.read(f"claims/{drop.load_id}/1.json")["job_name"] == job


def test_by_default_no_drop_is_large(cloud: Cloud) -> None:
    deliver(cloud, drop_message(cloud.drop(body=b"x" * 100_000)))
    assert jobs_started(cloud) == [TRANSACTIONS_JOB]


@pytest.mark.parametrize("key", [f"{DAY_KEY}.gz", DAY_KEY.replace(".csv", ".CSV.GZ"), "dimensions/dim_customers.csv"])
def test_packed_drops_and_dimensions_stay_with_their_job(large: Cloud, key: str) -> None:
    deliver(large, drop_message(large.drop(key, body=b"x" * LIMIT)))
    assert jobs_started(large) == [DIMENSIONS_JOB if key.startswith("dim") else TRANSACTIONS_JOB]


def test_each_version_of_a_key_goes_by_its_own_size(large: Cloud) -> None:
    drops = [large.drop(body=b"x" * size) for size in (LIMIT, 1)]
    deliver(large, *map(drop_message, drops))
    assert [large.drop_of(large.runs(job)[0])[0] for job in (LARGE_JOB, TRANSACTIONS_JOB)] == drops


def test_a_replay_from_the_archive_goes_by_the_size_of_the_copy(large: Cloud) -> None:
    drop = large.drop(body=b"x" * LIMIT)
    deliver(large, drop_message(drop))
    [run] = large.runs(LARGE_JOB)
    large.end_run(run, "SUCCEEDED")
    assert archive.handle(loaded(large, drop), Invocation())["archived"]
    assert large.versions(DROPS) == []
    deliver(large, replay_message(drop, request="again"))
    again = large.runs(LARGE_JOB)[-1]
    assert large.drop_of(again) == (drop, 2)
    assert again.arguments["--pipeline-archived-bucket"] == ARCHIVE


def test_a_retraction_reads_no_file_and_needs_one_worker(large: Cloud) -> None:
    drop = large.drop(body=b"x" * LIMIT)
    deliver(large, drop_message(drop))
    large.end_run(large.runs(LARGE_JOB)[0], "SUCCEEDED", report=succeeded(drop))
    already = len(large.runs(TRANSACTIONS_JOB))
    deliver(large, retract_message(drop, request="take it back"))
    assert [large.drop_of(run) for run in large.runs(TRANSACTIONS_JOB)[already:]] == [(drop, 2)]


def test_a_full_large_job_lets_its_drop_wait(large: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = large.drop(body=b"x" * LIMIT)
    with monkeypatch.context() as patched:
        glue_answers(patched, refusal("ConcurrentRunsExceededException"))
        assert deliver(large, drop_message(drop)) == []
    [waiting] = large.sent_messages()
    assert (waiting.waits, jobs_started(large)) == (1, [])
    deliver(large, waiting.body)
    assert jobs_started(large) == [LARGE_JOB]


def test_a_large_run_of_a_dead_worker_is_found_in_its_own_job(large: Cloud) -> None:
    drop = large.drop(body=b"x" * LIMIT)
    release = killed_at(handler.dependencies().dispatcher.runner.starter, "StartJobRun", after=True)
    with pytest.raises(Killed):
        deliver(large, drop_message(drop))
    release()
    large.outlive(f"claims/{drop.load_id}/1.json")
    deliver(large, drop_message(drop))
    [run] = large.runs(LARGE_JOB)
    assert large.read(f"claims/{drop.load_id}/1.json")["run_id"] == run.job_run_id


def test_the_sweep_mails_and_archives_a_large_run_without_events(large: Cloud) -> None:
    calls = Calls()
    sweep_handler.dependencies().functions.meta.events.register("before-call.lambda.Invoke", calls)
    drop = large.drop(body=b"x" * LIMIT)
    deliver(large, drop_message(drop))
    large.end_run(large.runs(LARGE_JOB)[0], "SUCCEEDED", report=succeeded(drop, etag=etag(large, drop)))
    sweep()
    calls.run()
    [(_, mail)] = large.mails()
    assert "log-group/$252Faws-glue$252Fjobs$252Foutput$3FlogStreamNameFilter$3D" in mail
    assert (large.versions(DROPS), len(large.versions(ARCHIVE))) == ([], 1)


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "STOPPED"])
def test_a_large_run_without_a_report_is_retried_in_its_job(large: Cloud, state: str) -> None:
    drop = large.drop(body=b"x" * LIMIT)
    deliver(large, drop_message(drop))
    [run] = large.runs(LARGE_JOB)
    large.end_run(run, "FAILED", report=failed(drop, is_transient=True) if state == "FAILED" else None)
    run.status = state
    calls = Calls()
    sweep_handler.dependencies().functions.meta.events.register("before-call.lambda.Invoke", calls)
    sweep()
    deliver_what_was_sent(large)
    calls.run()
    # A person stopped it: that is mailed and not retried. A run that was too slow or that died is.
    attempts = [large.drop_of(each)[1] for each in large.runs(LARGE_JOB)]
    assert attempts == ([1] if state == "STOPPED" else [1, 2])
    assert len(large.mails()) == (1 if state == "STOPPED" else 0)


def test_loads_survive_that_the_large_job_is_switched_off(large: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pulumi up` removes the job, and Glue forgets its runs with it."""
    done, died = large.drop(body=b"x" * LIMIT), large.drop(DAY_KEY.replace("15", "16"), body=b"x" * LIMIT)
    deliver(large, drop_message(done))
    large.end_run(large.runs(LARGE_JOB)[0], "SUCCEEDED", report=succeeded(done))
    release = killed_at(handler.dependencies().dispatcher.runner.starter, "StartJobRun")
    with pytest.raises(Killed):
        deliver(large, drop_message(died))
    release()
    large.outlive(f"claims/{died.load_id}/1.json")
    large.glue.delete_job(JobName=LARGE_JOB)
    set_limit(monkeypatch, "", 0)
    assert deliver(large, replay_message(done, request="again"), drop_message(died)) == []
    assert [large.drop_of(run) for run in large.runs(TRANSACTIONS_JOB)] == [(done, 2), (died, 1)]


def test_a_large_run_without_memory_is_advised_to_use_one_worker(large: Cloud) -> None:
    drop = large.drop(body=b"x" * LIMIT)
    run_id = large.glue.start_job_run(JobName=LARGE_JOB, Arguments=RunArguments(drop, 3).encode())["JobRunId"]
    event = recorded("glue_failed")
    event["detail"] |= {"jobName": LARGE_JOB, "jobRunId": run_id, "message": "Command failed with exit code 137"}
    large.end_run(large.runs(LARGE_JOB)[0], "FAILED")
    notify.handle(event, Invocation())
    assert "`pulumi config set largeFileBytes 0`" in large.mails()[0][1]


def test_the_mail_of_another_run_links_to_its_own_log(large: Cloud) -> None:
    drop = large.drop(body=b"x")
    deliver(large, drop_message(drop))
    event = recorded("glue_succeeded")
    event["detail"]["jobRunId"] = large.end_run(large.runs()[0], "SUCCEEDED", report=succeeded(drop))
    notify.handle(event, Invocation())
    assert "log-group/$252Faws-glue$252Fpython-jobs$252F" in large.mails()[0][1]
