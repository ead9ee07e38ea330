"""The declared Glue jobs."""

from __future__ import annotations

import argparse
from pathlib import Path

from jobs.arguments import parse_arguments
from schemas.drops import Drop
from schemas.runs import RunArguments
from schemas.sources import DEFAULT, SourceSettings
from sources import read_source
from tests.components.program import ACCOUNT, HOST, ROOT, WHEEL, Deployed, deploy
from tests.components.test_storage import GUARDS

CODE = "s3://storage-work-0a1b2c3/code"


def _arguments(job: str, stack: str = "dev") -> dict[str, str]:
    return {
        "--pipeline-job": job,
        "--pipeline-work-bucket": "storage-work-0a1b2c3",
        "--pipeline-workgroup": f"transactions-pipeline-{stack}-warehouse",
        "--pipeline-host": HOST,
        "--pipeline-port": "5439",
        "--pipeline-database": "shop",
        "--pipeline-account-id": ACCOUNT,
        "--pipeline-region": "eu-west-1",
        "--pipeline-copy-role-arn": f"arn:aws:iam::{ACCOUNT}:role/warehouse-copy-0a1b2c3",
        "--pipeline-warehouse-lock-seconds": "300",
        "--pipeline-warehouse-statement-seconds": "1800",
        "--pipeline-max-reject-ratio": "0.5",
        "--pipeline-amount-classes": "Small:0,Medium:100,Large:1000",
        "--pipeline-source-settings": DEFAULT.to_argument(),
        "--pipeline-keep-history": "true",
        "--pipeline-same-key": "add",
        "--pipeline-orphan-days": "30",
        "--extra-py-files": f"{CODE}/{WHEEL}",
        "--library-set": "none",
    }


def test_the_jobs_are_python_shell_jobs_as_configured(dev: Deployed) -> None:
    jobs = {
        resource.name: {key: value for key, value in resource.inputs.items() if key != "tags"}
        for resource in dev.of("Job")
    }
    assert jobs == {
        f"processing-{job}": {
            "name": f"transactions-pipeline-dev-{job.replace('_', '-')}",
            "roleArn": f"arn:aws:iam::{ACCOUNT}:role/transactions-pipeline-dev-{job.split('_')[1]}-eu-west-1",
            "glueVersion": "3.0",
            "command": {"name": "pythonshell", "pythonVersion": "3.9", "scriptLocation": f"{CODE}/glue_entry.py"},
            "connections": ["processing-0a1b2c3"],
            "maxCapacity": 0.0625,
            "timeout": 60,
            "executionProperty": {"maxConcurrentRuns": 3},
            "jobRunQueuingEnabled": False,
            "maxRetries": 0,
            "nonOverridableArguments": _arguments(job),
        }
        for job in ("process_transactions", "load_dimensions")
    }


def test_the_job_reads_the_programs_arguments_and_a_runs_own(deployed: Deployed) -> None:
    drop = Drop("drop-bucket", 'transactions/year=2023/month=03/day=15/a "b" ü.csv', "-v1")
    for job in deployed.of("Job"):
        arguments = {**job.inputs["nonOverridableArguments"], **RunArguments(drop, 2).encode()}
        understood = parse_arguments([token for pair in arguments.items() for token in pair])
        assert (understood.drop, understood.attempt) == (drop, 2)
        assert f"processing-{understood.job}" == job.name
        assert understood.warehouse.host == HOST


def test_a_run_can_override_none_of_the_programs_arguments(deployed: Deployed) -> None:
    own = set(RunArguments(Drop("bucket", "key", "v1"), 1).encode())
    assert [set(job.inputs["nonOverridableArguments"]) & own for job in deployed.of("Job")] == [set(), set()]
    assert [job.inputs.get("defaultArguments") for job in deployed.of("Job")] == [None, None]


def test_script_and_wheel_keep_their_file_names(dev: Deployed, wheel_directory: Path) -> None:
    uploads = {
        resource.inputs["key"]: resource.inputs
        for resource in dev.of("BucketObjectv2")
        if resource.name.startswith("proc")
    }
    assert {key: (each["bucket"], Path(each["source"].path)) for key, each in uploads.items()} == {
        f"code/{WHEEL}": ("storage-work-0a1b2c3", wheel_directory / WHEEL),
        "code/glue_entry.py": ("storage-work-0a1b2c3", ROOT / "jobs" / "glue_entry.py"),
    }


def test_script_and_wheel_are_uploaded_into_a_bucket_that_is_guarded(deployed: Deployed) -> None:
    """Before that their version would be `null` and could not be restored."""
    guards = {resource.urn for kind in GUARDS for resource in deployed.of(kind) if resource.name == "storage-work"}
    uploads = [resource for resource in deployed.of("BucketObjectv2") if resource.name.startswith("processing-")]
    assert len(guards) == len(GUARDS)
    assert [guards - resource.dependencies for resource in uploads] == [set(), set()]


def test_the_connection_places_a_run_where_its_endpoint_is(dev: Deployed) -> None:
    connection = dev.only("Connection", "processing").inputs
    assert connection["connectionType"] == "NETWORK"
    assert connection["physicalConnectionRequirements"] == {
        "availabilityZone": "eu-west-1a",
        "subnetId": "network-eu-west-1a-id",
        "securityGroupIdLists": ["network-job-id"],
    }


def test_a_job_has_its_rights_before_it_can_be_started(deployed: Deployed) -> None:
    rights = {resource.name: resource.urn for resource in deployed.of("RolePolicy")}
    assert [rights[job.name] in job.dependencies for job in deployed.of("Job")] == [True, True]


def test_size_timeout_and_rules_follow_the_configuration(wheel_directory: Path) -> None:
    stack = deploy(
        "dev",
        wheel_directory,
        jobMaxCapacity="1",
        jobTimeoutMinutes="30",
        jobMaxConcurrentRuns="7",
        maxRejectRatio="0.1",
        amountClasses="low:0,high:49.99",
        sameKey="replace",
        orphanDays="90",
        warehouseLockSeconds="600",
        warehouseStatementSeconds="7200",
        source="shopify",
    )
    for job in stack.of("Job"):
        inputs, arguments = job.inputs, job.inputs["nonOverridableArguments"]
        assert (inputs["maxCapacity"], inputs["timeout"], inputs["executionProperty"]) == (
            1.0,
            30,
            {"maxConcurrentRuns": 7},
        )
        assert (arguments["--pipeline-max-reject-ratio"], arguments["--pipeline-amount-classes"]) == (
            "0.1",
            "low:0,high:49.99",
        )
        limits = [arguments[f"--pipeline-warehouse-{of}-seconds"] for of in ("lock", "statement")]
        assert limits == ["600", "7200"]
        assert (arguments["--pipeline-same-key"], arguments["--pipeline-orphan-days"]) == ("replace", "90")
        assert SourceSettings.from_argument(arguments["--pipeline-source-settings"]) == read_source("shopify")


def test_without_keep_history_neither_job_nor_warehouse_keeps_it(dev: Deployed, wheel_directory: Path) -> None:
    stack = deploy("dev", wheel_directory, keepHistory="false")
    kept = {job.inputs["nonOverridableArguments"]["--pipeline-keep-history"] for job in stack.of("Job")}
    assert kept == {"false"}

    def sent(deployed: Deployed) -> set[str]:
        return {resource.inputs["sql"] for resource in deployed.of("Statement")}

    assert [text.split(" (")[0] for text in sent(dev) - sent(stack)] == ["INSERT INTO transaction_history"]


def test_no_stack_owns_the_log_groups_that_glue_creates(deployed: Deployed) -> None:
    """Whichever Python Shell job of the account runs first creates them: CreateLogGroup fails from then on."""
    assert [resource.name for resource in deployed.of("LogGroup") if "/aws-glue/" in resource.inputs["name"]] == []


def test_glues_options_never_match_our_arguments(deployed: Deployed) -> None:
    """Glue's wrapper shares the command line, and Python's argparse takes a prefix for the whole option."""
    wrapper = argparse.ArgumentParser()
    glues_own = ("--job-language", "--job-bookmark-option", "--JOB_NAME", "--scriptLocation", "--python-version")
    for option in (*glues_own, "--TempDir", "--extra-py-files", "--library-set", "--region-name", "--database-name"):
        wrapper.add_argument(option)
    drop = Drop("drop-bucket", "transactions/year=2023/month=03/day=15/day.csv", "v1")
    for job in deployed.of("Job"):
        ours = {**job.inputs["nonOverridableArguments"], **RunArguments(drop, 1).encode()}
        known, others = wrapper.parse_known_args([token for pair in ours.items() for token in pair])
        taken = {name for name, value in vars(known).items() if value is not None}
        assert taken == {"extra_py_files", "library_set"}
        assert [token for token in others if token.startswith("--")] == [name for name in ours if "pipeline" in name]
