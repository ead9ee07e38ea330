"""The declared Lambda functions, and the content of their zip."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.components.program import ACCOUNT, REGION, ROOT, Deployed, Resource

PACKAGES = ("archive", "notify", "start_run", "sweep")
NAMES = {
    "archive": "archiving-archive",
    "notify": "notifications-notify",
    "start_run": "ingestion-start-run",
    "sweep": "sweeping-sweep",
}

DROP, WORK, ARCHIVE = "storage-drop-0a1b2c3", "storage-work-0a1b2c3", "storage-archive-0a1b2c3"
JOBS = {
    "TRANSACTIONS_JOB": "transactions-pipeline-dev-process-transactions",
    "DIMENSIONS_JOB": "transactions-pipeline-dev-load-dimensions",
}
QUEUE_URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/transactions-pipeline-dev-drops"
TOPIC_ARN = f"arn:aws:sns:{REGION}:{ACCOUNT}:transactions-pipeline-dev-outcomes"

ENVIRONMENTS = {
    "start_run": {
        "DROP_BUCKET": DROP,
        "ARCHIVE_BUCKET": ARCHIVE,
        "WORK_BUCKET": WORK,
        **JOBS,
        "LARGE_JOB": "",
        "LARGE_FILE_BYTES": "0",
        "QUEUE_URL": QUEUE_URL,
        "TOPIC_ARN": TOPIC_ARN,
        "ENVIRONMENT": "dev",
    },
    "notify": {
        "WORK_BUCKET": WORK,
        "DROP_BUCKET": DROP,
        "TOPIC_ARN": TOPIC_ARN,
        "JOB_LOG_GROUP": "/aws-glue/python-jobs/error",
        "ENVIRONMENT": "dev",
        "WAREHOUSE": "redshift://transactions-pipeline-dev-warehouse.eu-west-1:5439/shop",
        "OPEN_LINEAGE_URL": "",
    },
    "archive": {"DROP_BUCKET": DROP, "ARCHIVE_BUCKET": ARCHIVE, "WORK_BUCKET": WORK, "QUEUE_URL": QUEUE_URL},
    "sweep": {
        "DROP_BUCKET": DROP,
        "ARCHIVE_BUCKET": ARCHIVE,
        "WORK_BUCKET": WORK,
        "QUEUE_URL": QUEUE_URL,
        "ARCHIVE_FUNCTION": "transactions-pipeline-dev-archive",
        "NOTIFY_FUNCTION": "transactions-pipeline-dev-notify",
        "ENVIRONMENT": "dev",
    },
}


def _function(deployed: Deployed, package: str) -> Resource:
    (resource,) = (
        resource
        for resource in deployed.of("Function")
        if not resource.is_component and resource.name == NAMES[package]
    )
    return resource


@pytest.fixture(scope="module")
def unpacked(dev: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The functions' zip as Lambda unpacks it."""
    archive = tmp_path_factory.mktemp("zip") / "functions.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path, asset in _function(dev, "start_run").inputs["code"].assets.items():
            zipped.write(asset.path, path)
    return archive


@pytest.mark.parametrize("package", PACKAGES)
def test_a_function_runs_its_handler_with_exactly_its_environment(dev: Deployed, package: str) -> None:
    inputs = _function(dev, package).inputs
    assert (inputs["name"], inputs["handler"], inputs["runtime"], inputs["architectures"], inputs["layers"]) == (
        f"transactions-pipeline-dev-{package.replace('_', '-')}",
        f"lambdas.{package}.handler.handle",
        "python3.13",
        ["x86_64"],
        [f"arn:aws:lambda:{REGION}:017000801446:layer:AWSLambdaPowertoolsPythonV3-python313-x86_64:37"],
    )
    assert inputs["environment"]["variables"] == {
        "POWERTOOLS_SERVICE_NAME": package,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        **ENVIRONMENTS[package],
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_handler_can_be_imported_from_the_zip_and_what_lambda_has(unpacked: Path, package: str) -> None:
    """Without Polars, and without the repository."""
    program = (
        "import sys\n"
        "sys.modules['polars'] = None\n"
        f"sys.path.insert(0, {str(unpacked)!r})\n"
        f"from lambdas.{package} import handler\n"
        "assert callable(handler.handle), handler\n"
        f"assert handler.__file__.startswith({str(unpacked)!r}), handler.__file__\n"
    )
    environment = {"AWS_DEFAULT_REGION": REGION, "POWERTOOLS_TRACE_DISABLED": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], env=environment, cwd="/", capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_the_zip_holds_the_handlers_and_the_contract_and_nothing_else(unpacked: Path) -> None:
    with zipfile.ZipFile(unpacked) as zipped:
        names = set(zipped.namelist())
    handlers = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lambdas").rglob("*.py")}
    contract = {path.relative_to(ROOT).as_posix() for path in (ROOT / "schemas").glob("*.py")}
    assert names == handlers | contract


def test_a_functions_log_is_its_own_and_there_before_it(deployed: Deployed) -> None:
    days = {"dev": 14, "prod": 365}[deployed.stack]
    logs = {
        resource.inputs["name"]: resource for resource in deployed.of("LogGroup") if resource.name in NAMES.values()
    }
    functions = [_function(deployed, package) for package in PACKAGES]
    assert set(logs) == {f"/aws/lambda/{function.inputs['name']}" for function in functions}
    assert {log.inputs["retentionInDays"] for log in logs.values()} == {days}
    assert all(logs[f"/aws/lambda/{function.inputs['name']}"].urn in function.dependencies for function in functions)


def test_every_log_group_is_kept_for_a_time(deployed: Deployed) -> None:
    assert [log.name for log in deployed.of("LogGroup") if not log.inputs.get("retentionInDays")] == []


def test_an_event_that_fails_for_good_ends_in_a_queue_of_its_function(dev: Deployed) -> None:
    """Both kinds of failure: EventBridge could not deliver the event, or the function raised each time."""
    queues = {resource.name: resource.state["arn"] for resource in dev.of("Queue")}
    for package in ("notify", "archive", "sweep"):
        failures = queues[f"{NAMES[package]}-failures"]
        assert _function(dev, package).inputs["deadLetterConfig"] == {"targetArn": failures}
        targets = [resource for resource in dev.of("EventTarget") if resource.name.startswith(NAMES[package])]
        assert {target.inputs["deadLetterConfig"]["arn"] for target in targets} == {failures}
    assert "deadLetterConfig" not in _function(dev, "start_run").inputs


def test_a_rule_may_call_its_function_and_no_other_rule_may(dev: Deployed) -> None:
    rules = {resource.state["name"]: resource.state["arn"] for resource in dev.of("EventRule")}
    permissions = {resource.name: resource.inputs for resource in dev.of("Permission")}
    calls: dict[str, Any] = {}
    for target in dev.of("EventTarget"):
        assert permissions[target.name] == {
            "action": "lambda:InvokeFunction",
            "function": target.inputs["arn"],
            "principal": "events.amazonaws.com",
            "sourceArn": rules[target.inputs["rule"]],
        }
        calls[target.name] = target.inputs["arn"].rsplit(":", 1)[1].removeprefix("transactions-pipeline-dev-")
    assert calls == {
        "archiving-archive-succeeded": "archive",
        "notifications-notify-succeeded": "notify",
        "notifications-notify-failed": "notify",
        "sweeping-sweep-schedule": "sweep",
    }
    assert set(permissions) == set(calls)
