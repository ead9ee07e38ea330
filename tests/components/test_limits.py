"""AWS's limits, met by the longest names and texts that the configuration allows.

Each limit is from the API reference of its service, or from its page of quotas.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from components.deployment import Deployment
from components.processing import role_name
from components.refusals import ConfigError
from components.stack_config import stack_config
from schemas.runs import JOBS
from tests.components.program import PROJECT, ROOT, Deployed, Resource, deploy, run

REGIONS = sorted(
    {
        region
        for partition in botocore.session.get_session().get_data("endpoints")["partitions"]
        for region in partition["regions"]
    },
    key=lambda region: (len(region), region),
)
"""Every Region of every partition, by the length of its name: in one order, for workers collect alike."""
AUTONAMED = len("-0a1b2c3")
"""The suffix that Pulumi appends to a name it chooses."""


@pytest.fixture(scope="module", params=[REGIONS[0], REGIONS[-1]])
def longest(request: pytest.FixtureRequest, wheel_directory: Path) -> Deployed:
    """The stack whose names and values are as long as the configuration allows.

    The shorter a Region's name, the longer a stack's may be: each is once as long as it can be.
    """
    region = str(request.param)
    config = stack_config(ROOT, "dev") | {"aws:region": region}
    own = {
        "availabilityZones": json.dumps([f"{region}{letter}" for letter in "abc"]),
        "wheelDirectory": str(wheel_directory),
        "dropBucketName": "d" * 63,
        "databaseName": "d" * 63,
        "source": "shopify",
        "largeFileBytes": str(1024**3),
        "openLineageUrl": f"https://{'u' * 2040}",
        "emails": json.dumps([f"{'e' * 64}@{'d' * 60}.example.com"]),
    }
    config |= {f"{PROJECT}:{key}": value for key, value in own.items()}
    stack = "a" * most_characters(region)
    return run(lambda: runpy.run_path(str(ROOT / "__main__.py")), stack=stack, config=config)


def most_characters(region: str) -> int:
    """The longest stack name of a Region: `transactions-pipeline-STACK-transactions-REGION` has 64 characters."""
    return 64 - 21 - 1 - 1 - 12 - 1 - len(region)


@pytest.mark.parametrize("region", REGIONS)
def test_in_every_region_the_longest_stack_name_fits(region: str) -> None:
    most = most_characters(region)
    longest = Deployment(project=PROJECT, environment="a" * most, region=region)
    assert {len(role_name(longest, job)) <= 64 for job in JOBS} == {True}
    with pytest.raises(ConfigError, match=rf"^stack is .*, but must be a name of 1 to {most} lower-case"):
        Deployment(project=PROJECT, environment="a" * (most + 1), region=region)
    assert most >= 13, "a name such as `production` must fit everywhere"


def length(resource: Resource, key: str) -> int:
    """Of a name: the program's own, or the one that Pulumi makes."""
    return len(resource.inputs[key]) if resource.inputs.get(key) else len(resource.name) + AUTONAMED


NAMES = {
    "Role": ("name", 64),
    "RolePolicy": ("name", 128),
    "Function": ("name", 64),
    "Queue": ("name", 80),
    "Topic": ("name", 256),
    "EventRule": ("name", 64),
    "EventTarget": ("name", 64),
    "MetricAlarm": ("name", 255),
    "Dashboard": ("dashboardName", 255),
    "LogGroup": ("name", 512),
    "Job": ("name", 255),
    "Connection": ("name", 255),
    "SecurityGroup": ("name", 255),
    "Bucket": ("bucket", 63),
    "Namespace": ("namespaceName", 64),
    "Workgroup": ("workgroupName", 64),
    "Permission": ("statementId", 100),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_fit(longest: Deployed, kind: str) -> None:
    key, most = NAMES[kind]
    assert longest.of(kind)
    assert {resource.name: length(resource, key) for resource in longest.of(kind) if length(resource, key) > most} == {}


TEXTS = {
    ("Function", "description"): 256,
    ("EventRule", "description"): 512,
    ("EventRule", "eventPattern"): 2048,
    ("MetricAlarm", "alarmDescription"): 1024,
    ("Topic", "displayName"): 100,
    ("SecurityGroup", "description"): 255,
    ("SecurityGroupIngressRule", "description"): 255,
    ("SecurityGroupEgressRule", "description"): 255,
    ("RolePolicy", "policy"): 10_240,
    ("Role", "assumeRolePolicy"): 2048,
    ("BucketPolicy", "policy"): 20_480,
    ("QueuePolicy", "policy"): 8192,
    ("TopicPolicy", "policy"): 30_720,
    ("VpcEndpoint", "policy"): 20_480,
    ("Statement", "sql"): 100_000,
    ("BucketObjectv2", "key"): 1024,
}


@pytest.mark.parametrize(("kind", "key"), TEXTS)
def test_texts_fit(longest: Deployed, kind: str, key: str) -> None:
    lengths = {
        resource.name: len(resource.inputs[key].encode()) for resource in longest.of(kind) if resource.inputs.get(key)
    }
    assert lengths
    assert {name: size for name, size in lengths.items() if size > TEXTS[kind, key]} == {}


def test_a_role_has_one_policy(longest: Deployed) -> None:
    """The limit is on all inline policies of a role together."""
    roles = [resource.inputs["role"] for resource in longest.of("RolePolicy")]
    assert sorted(roles) == sorted(set(roles))


def test_a_functions_environment_fits(longest: Deployed) -> None:
    for function in longest.of("Function"):
        if not function.is_component:
            variables = function.inputs["environment"]["variables"]
            assert sum(len(name) + len(value) for name, value in variables.items()) <= 4096


def test_an_object_has_at_most_ten_tags_and_others_fifty(longest: Deployed) -> None:
    net = json.loads(stack_config(ROOT, "dev")["aws:defaultTags"])["tags"]
    for resource in longest.resources:
        tags = {**net, **(resource.inputs.get("tags") or {})}
        assert len(tags) <= (10 if resource.kind == "BucketObjectv2" else 50), resource.name
        assert all(len(key) <= 128 and len(value) <= 256 for key, value in tags.items()), resource.name


def test_the_dashboards_graphs_and_the_alarms_fit(longest: Deployed) -> None:
    """A dashboard holds 500 graphs, a graph 500 metrics; the first ten alarms are free, the rest cost cents."""
    [dashboard] = longest.of("Dashboard")
    widgets = json.loads(dashboard.inputs["dashboardBody"])["widgets"]
    assert len(widgets) <= 500
    assert max(len(widget["properties"]["metrics"]) for widget in widgets) <= 500


def test_a_users_name_fits_the_warehouse(longest: Deployed) -> None:
    """Redshift takes names of 127 bytes."""
    roles = [resource.inputs["name"] for resource in longest.of("Role") if resource.inputs.get("name")]
    assert max(len(f"IAMR:{role}".encode()) for role in roles) <= 127


def test_a_jobs_arguments_fit_one_command_line(longest: Deployed) -> None:
    """Glue takes 260 KB of arguments; Linux takes 128 KiB of one of them."""
    for job in longest.of("Job"):
        arguments = job.inputs["nonOverridableArguments"]
        assert sum(len(name) + len(value) for name, value in arguments.items()) <= 64 * 1024


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("dropBucketName", "xn--drops", "without what S3 reserves"),
        ("dropBucketName", "sthree-drops", "without what S3 reserves"),
        ("dropBucketName", "amzn-s3-demo-drops", "without what S3 reserves"),
        ("dropBucketName", "drops-s3alias", "without what S3 reserves"),
        ("dropBucketName", "drops--ol-s3", "without what S3 reserves"),
        ("dropBucketName", "drops--x-s3", "without what S3 reserves"),
        ("amountClasses", ",".join(f"{'l' * 50}{n}:{n}" for n in range(400)), "at most 16,384 characters"),
        ("databaseName", "table", "not a reserved word of Redshift"),
        ("databaseName", "default", "not a reserved word of Redshift"),
        ("openLineageUrl", f"https://{'u' * 2041}", "at most 2,048 characters"),
        ("emails", json.dumps([f"{'e' * 65}@example.com"]), "e-mail addresses"),
    ],
)
def test_what_aws_would_refuse_is_refused_before(wheel_directory: Path, key: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as refused:
        deploy("dev", wheel_directory, **{key: value})
    assert str(refused.value).startswith(f"{key} is ")


def test_source_settings_that_are_too_long_are_refused(
    wheel_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Any = type("Long", (), {"to_argument": lambda _: "x" * 16_385})()
    monkeypatch.setattr("components.processing.read_source", lambda _: settings)
    with pytest.raises(ConfigError, match=r"source is 'default', but .* 16,385 characters, and at most 16,384 fit"):
        deploy("dev", wheel_directory)
