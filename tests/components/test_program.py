"""What must hold for the program as a whole, in both stacks."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pulumi
import pulumi_aws
import pytest
import yaml
from pulumi import _types

from components.deployment import Deployment
from components.refusals import ConfigError
from schemas.retries import RETRIED_WITHIN
from tests.components.program import PROJECT, ROOT, WHEEL, Deployed, Resource, deploy, run

DEV_RESOURCES = {
    # stages, and the functions' own components
    "Storage": 1,
    "Network": 1,
    "Warehouse": 1,
    "Processing": 1,
    "Notifications": 1,
    "Ingestion": 1,
    "Archiving": 1,
    "Sweeping": 1,
    "Monitoring": 1,
    "SampleDimensions": 1,
    "EventFunction": 3,
    # storage, the wheel, the script and two samples
    "Bucket": 3,
    "BucketVersioning": 3,
    "BucketServerSideEncryptionConfiguration": 3,
    "BucketPublicAccessBlock": 3,
    "BucketPolicy": 3,
    "BucketLifecycleConfiguration": 3,
    "BucketNotification": 1,
    "BucketObjectv2": 4,
    # network
    "Vpc": 1,
    "RouteTable": 1,
    "Subnet": 3,
    "RouteTableAssociation": 3,
    "VpcEndpoint": 2,
    "SecurityGroup": 3,
    "SecurityGroupIngressRule": 3,
    "SecurityGroupEgressRule": 4,
    # warehouse: four tables, a procedure and two users it makes, a right taken from everybody, five grants
    "Namespace": 1,
    "Workgroup": 1,
    "UsageLimit": 1,
    "Statement": 13,
    # four functions, each of them in a component of the same name
    "Function": 8,
    # jobs and functions, a role each, and the role for COPY
    "Connection": 1,
    "Job": 2,
    "Role": 7,
    "RolePolicy": 7,
    "LogGroup": 4,
    # events and mails
    "EventSourceMapping": 1,
    "Permission": 4,
    "EventRule": 4,
    "EventTarget": 4,
    "Queue": 5,
    "QueuePolicy": 4,
    "Topic": 1,
    "TopicPolicy": 1,
    "TopicSubscription": 1,
    # monitoring
    "MetricAlarm": 11,
    "Dashboard": 1,
}


def test_the_program_declares_these_resources_and_no_others(dev: Deployed) -> None:
    assert Counter(found.kind for found in dev.resources) == DEV_RESOURCES


def test_prod_differs_from_dev_by_a_second_reader_the_accounts_log_groups_and_the_missing_samples(
    dev: Deployed, prod: Deployed
) -> None:
    in_dev, in_prod = ({(found.kind, found.name) for found in stack.resources} for stack in (dev, prod))
    assert in_prod - in_dev == {
        ("TopicSubscription", "notifications-data-platform@example.com"),
        ("LogGroup", "processing-output"),
        ("LogGroup", "processing-error"),
    }
    assert in_dev - in_prod == {
        ("SampleDimensions", "sample"),
        ("BucketObjectv2", "sample-dim_products"),
        ("BucketObjectv2", "sample-dim_customers"),
    }


def test_every_resource_belongs_to_the_component_of_a_stage(deployed: Deployed) -> None:
    outermost = {found.chain[0] for found in deployed.resources}
    assert outermost == {found.type for found in deployed.resources if len(found.chain) == 1}
    assert all(type_.startswith(f"{PROJECT}:index:") for type_ in outermost)


def test_every_childs_name_starts_with_its_components_name(deployed: Deployed) -> None:
    names = {found.urn: found.name for found in deployed.resources}
    children = [found for found in deployed.resources if found.parent in names]
    strays = [found.urn for found in children if not found.name.startswith(names[found.parent])]
    assert strays == []


def test_no_two_resources_share_a_urn(deployed: Deployed) -> None:
    """The engine refuses a second one; the mocks would keep the last in silence."""
    repeated = {urn for urn, times in Counter(found.urn for found in deployed.resources).items() if times > 1}
    assert repeated == set()


def test_everything_that_can_bear_tags_says_whose_it_is(deployed: Deployed) -> None:
    taggable = [found for found in deployed.resources if not found.is_component and hasattr(_class_of(found), "tags")]
    assert len(taggable) > 50, "the test has lost sight of what can bear tags"
    wanted = {"project": PROJECT, "environment": deployed.stack}
    untagged = [
        found.urn
        for found in taggable
        if not (wanted.items() <= found.inputs.get("tags", {}).items() and found.inputs["tags"].get("Name"))
    ]
    assert untagged == []


def test_every_argument_however_deep_is_one_the_provider_knows(deployed: Deployed) -> None:
    """Python refuses an unknown argument, but in a nested dict literal a typing mistake passes in silence."""
    unknown = [
        f"{found.name}: {path}"
        for found in deployed.resources
        if not found.is_component
        for path in _unknown_keys(found.inputs, _args_of(found), found.kind)
    ]
    assert unknown == []


def test_the_check_of_nested_arguments_finds_a_typing_mistake() -> None:
    inputs = {"command": {"scriptLocation": "s3://code", "pythonVersoin": "3.9"}}
    assert list(_unknown_keys(inputs, pulumi_aws.glue.JobArgs, "Job")) == ["Job.command.pythonVersoin"]


def test_two_stacks_in_one_account_share_no_name(dev: Deployed, prod: Deployed) -> None:
    in_dev, in_prod = set(_given_names(dev)), set(_given_names(prod))
    assert len(in_dev) > 25, "the test has lost sight of the names"
    assert in_dev & in_prod == set()


def test_names_a_person_types_are_made_of_project_stack_and_thing(deployed: Deployed) -> None:
    prefix = f"{PROJECT}-{deployed.stack}-"
    names = [name.removeprefix("/aws/lambda/") for name in _given_names(deployed)]
    glues_own = {"/aws-glue/python-jobs/output", "/aws-glue/python-jobs/error"} if deployed.stack == "prod" else set()
    assert {name for name in names if not name.startswith(prefix)} == glues_own
    assert {len(found.inputs["name"]) <= 64 for found in deployed.of("Role") if "name" in found.inputs} == {True}


def test_the_program_may_not_look_things_up_in_aws() -> None:
    with pytest.raises(Exception, match="look things up"):
        run(pulumi_aws.get_caller_identity)


def test_data_survives_pulumi_destroy_unless_the_stack_says_otherwise(dev: Deployed, prod: Deployed) -> None:
    def protected(stack: Deployed) -> set[tuple[str, bool, bool]]:
        holders = [*stack.of("Bucket"), *stack.of("Namespace")]
        return {(found.name, found.protect, found.inputs.get("forceDestroy", False)) for found in holders}

    assert protected(prod) == {
        ("storage-drop", True, False),
        ("storage-work", True, False),
        ("storage-archive", True, False),
        ("warehouse", True, False),
    }
    assert protected(dev) == {
        ("storage-drop", False, True),
        ("storage-work", False, True),
        ("storage-archive", False, True),
        ("warehouse", False, False),
    }


def test_the_stack_exports_what_a_person_types(dev: Deployed) -> None:
    assert dev.exports == {
        "drop_bucket": "transactions-pipeline-dev-drop",
        "work_bucket": "storage-work-0a1b2c3",
        "archive_bucket": "storage-archive-0a1b2c3",
        "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/transactions-pipeline-dev-drops",
        "dead_letter_queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/transactions-pipeline-dev-dead-letters",
        "topic_arn": "arn:aws:sns:eu-west-1:123456789012:transactions-pipeline-dev-mails",
        "transactions_job": "transactions-pipeline-dev-process-transactions",
        "dimensions_job": "transactions-pipeline-dev-load-dimensions",
        "sweep_function": "transactions-pipeline-dev-sweep",
        "workgroup": "transactions-pipeline-dev-warehouse",
        "database": "shop",
        "dashboard": "transactions-pipeline-dev-pipeline",
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dropBucketName", "My_Drops"),
        ("rejectedRetentionDays", "0"),
        # While a failed load may look like one whose run died, its report is kept.
        ("reportRetentionDays", str(RETRIED_WITHIN.days - 1)),
        ("oldVersionDays", "0"),
        ("archiveColdClass", "GLACIER"),
        ("archiveColdAfterDays", "29"),
        ("vpcCidr", "10.60.0.0/25"),
        ("vpcCidr", "8.8.0.0/16"),
        ("vpcCidr", "10.60.0.1/16"),
        ("vpcCidr", "ten"),
        ("availabilityZones", '["eu-west-1a", "eu-west-1b"]'),
        ("availabilityZones", '["eu-west-1a", "eu-west-1b", "eu-west-1b"]'),
        ("availabilityZones", '["eu-west-1a", "eu-west-1b", "us-east-1a"]'),
        ("databaseName", "Shop; drop"),
        ("warehouseBaseCapacity", "5"),
        ("warehouseBaseCapacity", "520"),
        ("warehouseRpuHoursPerDay", "0"),
        ("jobMaxCapacity", "2"),
        ("jobTimeoutMinutes", "0"),
        ("jobTimeoutMinutes", "10081"),
        ("jobMaxConcurrentRuns", "0"),
        ("maxRejectRatio", "1.01"),
        ("maxRejectRatio", "NaN"),
        ("maxRejectRatio", "half"),
        ("amountClasses", "Small:1,Large:100"),
        ("amountClasses", "Small:0,Large:0"),
        ("amountClasses", "Small:0,Small:100"),
        ("amountClasses", "Small:0,Large"),
        ("amountClasses", "é" * 33 + ":0"),
        ("amountClasses", ""),
        ("source", "shopfy"),
        ("source", ""),
        ("logRetentionDays", "31"),
        ("powertoolsLayerVersion", "0"),
        ("emails", '"ann@example.com"'),
        ("emails", '["ann"]'),
        ("emails", '["ann@example.com", "ann@example.com"]'),
        ("sweepMinutes", "1"),
        ("waitingDropMinutes", "0"),
        ("quietHours", "169"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_keys_name(key: str, value: str, wheel_directory: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} is .*, but must be .*pulumi config set {key}"):
        deploy("dev", wheel_directory, **{key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("keepData", "perhaps"),
        ("sampleDimensions", "2"),
        ("ownsGlueLogGroups", "maybe"),
        ("jobTimeoutMinutes", "an hour"),
        ("jobMaxCapacity", "small"),
        ("emails", "ann@example.com"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_the_keys_name(key: str, value: str, wheel_directory: Path) -> None:
    with pytest.raises(pulumi.ConfigTypeError, match=f"{PROJECT}:{key}"):
        deploy("dev", wheel_directory, **{key: value})


@pytest.mark.parametrize("key", [f"{PROJECT}:availabilityZones", "aws:region", f"{PROJECT}:keepData"])
def test_a_missing_value_is_refused_by_the_keys_name(key: str, wheel_directory: Path) -> None:
    with pytest.raises(pulumi.ConfigMissingError, match=key):
        deploy("dev", wheel_directory, without=key)


def test_a_stack_name_that_cannot_be_part_of_a_buckets_name_is_refused() -> None:
    for name in ("Dev", "dev_1", "1dev", "a" * 17, ""):
        with pytest.raises(ConfigError, match=r"^stack is"):
            Deployment(project=PROJECT, environment=name, region="eu-west-1")


def test_without_a_wheel_the_program_names_the_command_that_builds_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`make wheel`"):
        deploy("dev", tmp_path)


def test_with_two_wheels_the_program_names_both(tmp_path: Path) -> None:
    older = WHEEL.replace("1.0.0", "0.9.0")
    for wheel in (WHEEL, older):
        (tmp_path / wheel).write_bytes(b"")
    with pytest.raises(ConfigError, match=f"{re.escape(older)}, {re.escape(WHEEL)}"):
        deploy("dev", tmp_path)


def test_pulumi_yaml_declares_exactly_the_keys_the_program_reads() -> None:
    read = set(re.findall(r'config\.require\w*\("(\w+)"\)', (ROOT / "__main__.py").read_text(encoding="utf-8")))
    declared = _yaml("Pulumi.yaml")["config"]
    assert read == set(declared)
    assert all(key["type"] and key["description"] for key in declared.values())
    assert {key for key, value in declared.items() if "default" not in value} == {"availabilityZones"}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_stacks_file_sets_declared_keys_only_and_no_value_that_is_the_default(stack: str) -> None:
    declared = _yaml("Pulumi.yaml")["config"]
    values = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in _yaml(f"Pulumi.{stack}.yaml")["config"].items()
        if not key.startswith("aws:")
    }
    assert set(values) <= set(declared)
    assert {key for key, value in values.items() if declared[key].get("default") == value} == set()


def _yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def _class_of(found: Resource) -> type:
    """`aws:lambda/function:Function` -> pulumi_aws.lambda_.Function."""
    module = found.type.split(":")[1].split("/")[0]
    python_name = {"lambda": "lambda_"}.get(module, module)
    resource_class: type = getattr(importlib.import_module(f"pulumi_aws.{python_name}"), found.kind)
    return resource_class


def _args_of(found: Resource) -> type:
    module = importlib.import_module(_class_of(found).__module__)
    # InitArgs: where a nested argument of another resource has taken the name.
    args: type = getattr(module, f"{found.kind}InitArgs", None) or getattr(module, f"{found.kind}Args")
    return args


def _unknown_keys(value: Any, args: type, path: str) -> Iterator[str]:
    known = _types.input_type_types(args)
    for key, inner in value.items():
        if key not in known:
            yield f"{path}.{key}"
            continue
        nested = _nested_args(known[key])
        for item in inner if isinstance(inner, list) else [inner]:
            # A policy may be text, too.
            if nested and isinstance(item, Mapping):
                yield from _unknown_keys(item, nested, f"{path}.{key}")


def _nested_args(annotation: Any) -> type | None:
    """The class of nested arguments somewhere in an annotation, if there is one."""
    if isinstance(annotation, type) and _types.is_input_type(annotation):
        return annotation
    return next((found for found in map(_nested_args, get_args(annotation)) if found), None)


def _given_names(stack: Deployed) -> Iterator[str]:
    """The physical names that the program gives itself."""
    for found in stack.resources:
        names: Mapping[str, Any] = {} if found.is_component else found.inputs
        for key in ("name", "bucket", "namespaceName", "workgroupName", "dashboardName"):
            is_reference = key == "bucket" and found.kind != "Bucket"
            if names.get(key) and not is_reference:
                yield names[key]
