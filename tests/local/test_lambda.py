"""The local Lambda runs real handlers in separate processes, with their roles' rights and time limits."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator

import pytest

from local.local_cloud import LocalCloud
from local.runtime.functions import FunctionFailed

pytestmark = pytest.mark.flow

SECONDS = 300
"""The time limit of a function in tests that are not about time, long enough for a busy machine."""


@pytest.fixture
def function(undisturbed: LocalCloud) -> Iterator[Callable[[str], str]]:
    """Creates a function from code, with the role and settings of `notify`. Returns its name."""
    functions = undisturbed.client("lambda")
    like = functions.get_function_configuration(FunctionName="transactions-pipeline-dev-notify")
    made: list[str] = []

    def make(code: str) -> str:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as target:
            target.writestr("made.py", code)
        made.append(f"made-{len(made)}")
        functions.create_function(
            FunctionName=made[-1],
            Runtime=like["Runtime"],
            Role=like["Role"],
            Handler="made.handle",
            Code={"ZipFile": packed.getvalue()},
            Timeout=SECONDS,
            MemorySize=128,
            Environment={"Variables": {"ONLY_MINE": "yes"}},
        )
        return made[-1]

    yield make
    for name in made:
        functions.delete_function(FunctionName=name)


def test_a_function_that_takes_too_long_is_killed(undisturbed: LocalCloud, function: Callable[[str], str]) -> None:
    name = function("import time\ndef handle(event, context):\n    time.sleep(event)\n    return 'done'\n")
    settings = undisturbed.client("lambda")
    settings.update_function_configuration(FunctionName=name, Timeout=1)
    # Unless it is killed, it ends long before the test does.
    with pytest.raises(FunctionFailed, match=r"Task timed out after 1\.00 seconds"):
        undisturbed.router.functions.invoke(name, 60)
    settings.update_function_configuration(FunctionName=name, Timeout=SECONDS)
    assert undisturbed.router.functions.invoke(name, 0) == "done", "the next invocation gets a new process"


def test_a_function_has_only_its_own_environment_and_role(
    undisturbed: LocalCloud, function: Callable[[str], str]
) -> None:
    name = function(
        "import boto3, os, sys\n"
        "def handle(event, context):\n"
        "    who = boto3.client('sts').get_caller_identity()['Arn']\n"
        "    return {'who': who, 'mine': os.environ.get('ONLY_MINE'), 'names': sorted(os.environ), 'path': sys.path,\n"
        "            'left': context.get_remaining_time_in_millis()}\n"
    )
    result = undisturbed.router.functions.invoke(name, {})
    role = undisturbed.client("lambda").get_function_configuration(FunctionName=name)["Role"].rpartition("/")[2]
    assert f":assumed-role/{role}/" in result["who"]
    assert result["mine"] == "yes"
    assert 0 < result["left"] <= SECONDS * 1000
    assert not [name for name in result["names"] if name not in FUNCTION_ENVIRONMENT]
    assert not [path for path in result["path"] if path.rstrip("/").endswith("/local")]


FUNCTION_ENVIRONMENT = {
    *("ONLY_MINE", "PATH", "LC_CTYPE", "LAMBDA_TASK_ROOT", "LAPTOP_WITHOUT_POWERTOOLS", "_HANDLER"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION"),
    *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_LOG_GROUP_NAME"),
}


def test_without_its_layer_a_function_has_no_powertools(
    undisturbed: LocalCloud, function: Callable[[str], str]
) -> None:
    name = function("import aws_lambda_powertools\ndef handle(event, context):\n    return None\n")
    with pytest.raises(FunctionFailed, match="ModuleNotFoundError"):
        undisturbed.router.functions.invoke(name, {})


def test_an_event_that_fails_three_times_is_a_dead_letter(
    undisturbed: LocalCloud, function: Callable[[str], str]
) -> None:
    name = function("def handle(event, context):\n    raise ValueError('always')\n")
    described = undisturbed.router.functions.describe(name)
    notify = undisturbed.router.functions.describe("transactions-pipeline-dev-notify")
    dead_letters = undisturbed.router.functions.gaps.dead_letter_of_function
    queue_arn = dead_letters[described.arn] = dead_letters[notify.arn]
    undisturbed.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b'{"a": 1}')
    undisturbed.wait_until_idle()
    assert [sentence for sentence in undisturbed.router.warnings if "always" in sentence] == [
        f"{name}: ValueError: always (try {number} of 3)" for number in (1, 2, 3)
    ]
    sqs = undisturbed.client("sqs")
    url = sqs.get_queue_url(QueueName=queue_arn.rpartition(":")[2])["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert json.loads(message["Body"]) == {"a": 1}


def test_a_synchronous_invocation_returns_the_result(undisturbed: LocalCloud, function: Callable[[str], str]) -> None:
    name = function("def handle(event, context):\n    return event['number'] + 1\n")
    answer = undisturbed.client("lambda").invoke(FunctionName=name, Payload=b'{"number": 41}')
    assert json.loads(answer["Payload"].read()) == 42
