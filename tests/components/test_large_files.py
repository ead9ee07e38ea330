"""The program as a stack deploys it that loads large files with many workers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from components.refusals import ConfigError
from schemas.runs import runs_on_spark
from tests.components.program import ACCOUNT, LARGE_WHEEL, WHEEL, Deployed, deploy
from tests.components.test_events import _recorded, _rules_that_match
from tests.components.test_functions import _function
from tests.components.test_permissions import WORK, _granted, _list, _on
from tests.components.test_processing import CODE, _arguments

LARGE_JOB = "transactions-pipeline-dev-process-transactions-large"
GIB = 1024**3


@pytest.fixture(scope="module")
def large(wheel_directory: Path) -> Deployed:
    return deploy("dev", wheel_directory, largeFileBytes=str(GIB), largeJobWorkers="5", jobTimeoutMinutes="90")


def test_the_large_job_is_a_spark_job_beside_the_other_two(large: Deployed) -> None:
    assert [job.name for job in large.of("Job")] == [
        "processing-load_dimensions",
        "processing-process_transactions",
        "processing-process_transactions_large",
    ]
    inputs = large.only("Job", "processing-process_transactions_large").inputs
    arguments = _arguments("process_transactions_large")
    del arguments["--extra-py-files"], arguments["--library-set"]
    assert {key: value for key, value in inputs.items() if key != "tags"} == {
        "name": LARGE_JOB,
        # The role of the other job: a drop has the same rights and the same database user, whatever its size.
        "roleArn": f"arn:aws:iam::{ACCOUNT}:role/transactions-pipeline-dev-transactions-eu-west-1",
        "glueVersion": "6.0",
        "command": {"name": "glueetl", "pythonVersion": "3", "scriptLocation": f"{CODE}/glue_entry.py"},
        "connections": ["processing-0a1b2c3"],
        "workerType": "G.1X",
        "numberOfWorkers": 5,
        "timeout": 90,
        "executionProperty": {"maxConcurrentRuns": 3},
        "jobRunQueuingEnabled": False,
        "maxRetries": 0,
        "nonOverridableArguments": {**arguments, "--additional-python-modules": f"{CODE}/{LARGE_WHEEL}"},
    }
    assert [job.inputs.get("maxCapacity") for job in large.of("Job")] == [0.0625, 0.0625, None]


def test_the_wheel_of_each_python_is_uploaded_under_its_name(large: Deployed, wheel_directory: Path) -> None:
    wheels = {
        upload.inputs["key"]: Path(upload.inputs["source"].path)
        for upload in large.of("BucketObjectv2")
        if upload.inputs["key"].endswith(".whl")
    }
    assert wheels == {f"code/{wheel}": wheel_directory / wheel for wheel in (WHEEL, LARGE_WHEEL)}


def test_the_large_job_has_its_rights_before_it_can_be_started(large: Deployed) -> None:
    rights = large.only("RolePolicy", "processing-process_transactions").urn
    assert rights in large.only("Job", "processing-process_transactions_large").dependencies


def test_a_large_job_adds_its_logs_and_its_folder_to_the_rights(dev: Deployed, large: Deployed) -> None:
    added = {
        policy.name: _granted(large.policy_of(policy.name)) ^ _granted(dev.policy_of(policy.name))
        for policy in large.of("RolePolicy")
    }
    spark_logs = [f"logs:log-group:/aws-glue/jobs/{name}{end}" for name in ("output", "error") for end in ("", ":*")]
    staging_only = _list(WORK, "staging")
    assert added == {
        "processing-process_transactions": (
            _on(spark_logs, "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
            | _on(f"{WORK}/rejected/*", "s3:DeleteObject")
            | staging_only
            | _list(WORK, "staging", "rejected")
        ),
        "processing-load_dimensions": set(),
        "warehouse-copy": set(),
        # They may ask about runs of the large job in any case.
        "ingestion-start-run": set(),
        "notifications-notify": set(),
        "archiving-archive": set(),
        "sweeping-sweep": set(),
    }


@pytest.mark.parametrize("recorded", ["glue_succeeded", "glue_failed", "glue_timeout", "glue_stopped"])
def test_the_end_of_a_large_run_calls_whom_any_other_calls(large: Deployed, recorded: str) -> None:
    event = _recorded(recorded)
    event["detail"]["jobName"] = "transactions-pipeline-dev-process-transactions"
    called = _rules_that_match(large, event)
    event["detail"]["jobName"] = LARGE_JOB
    assert _rules_that_match(large, event) == called != set()


def test_the_functions_know_the_large_job_and_its_limit(large: Deployed) -> None:
    start_run = _function(large, "start_run").inputs["environment"]["variables"]
    assert (start_run["LARGE_JOB"], start_run["LARGE_FILE_BYTES"]) == (LARGE_JOB, str(GIB))
    assert large.exports["large_job"] == LARGE_JOB
    # `notify` and the operator's command know it by its name.
    assert [runs_on_spark(job.inputs["name"]) for job in large.of("Job")] == [False, False, True]


def test_without_its_wheel_the_program_names_the_command(wheel_directory: Path, tmp_path: Path) -> None:
    shutil.copy(wheel_directory / WHEEL, tmp_path)
    deploy("dev", tmp_path)
    with pytest.raises(ConfigError, match=rf"cp313.*`{re.escape('pipeline wheel --python 3.13')}`"):
        deploy("dev", tmp_path, largeFileBytes=str(GIB))


def test_each_worker_needs_an_address_in_the_jobs_subnet(wheel_directory: Path) -> None:
    # The jobs' subnet is an eighth of the network, and AWS keeps five addresses of it: 32 - 5.
    small = {"vpcCidr": "10.60.0.0/24", "largeFileBytes": str(GIB)}
    assert len(deploy("dev", wheel_directory, **small, largeJobWorkers="27").of("Job")) == 3
    with pytest.raises(ConfigError, match=r"^largeJobWorkers is 28, but must be from 2 to 27"):
        deploy("dev", wheel_directory, **small, largeJobWorkers="28")
