"""Properties of the whole program, in both stacks."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pulumi_aws
import pytest
from pulumi import Archive, Asset, _types
from pulumi.output import Unknown

from components.deployment import Deployment
from components.processing import role_name
from components.refusals import ConfigError
from schemas.runs import JOBS
from tests.components.program import PROJECT, WHEEL, Deployed, Resource, deploy, run

DEV_RESOURCES = {
    # the parts of the pipeline, and the functions' own components
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
    "DefaultSecurityGroup": 1,
    "SecurityGroup": 3,
    "SecurityGroupIngressRule": 3,
    "SecurityGroupEgressRule": 4,
    # warehouse: tables and their upgrades, two renumberings, a procedure and two users it makes, and rights
    "Namespace": 1,
    "Workgroup": 1,
    "UsageLimit": 1,
    "Statement": 27,
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
    "Topic": 2,
    "TopicPolicy": 2,
    "TopicSubscription": 2,
    # monitoring
    "MetricAlarm": 13,
    "Dashboard": 1,
}


def test_the_program_declares_these_resources_and_no_others(dev: Deployed) -> None:
    assert Counter(resource.kind for resource in dev.resources) == DEV_RESOURCES


def test_prod_differs_from_dev_in_operators_and_samples(dev: Deployed, prod: Deployed) -> None:
    in_dev, in_prod = ({(resource.kind, resource.name) for resource in stack.resources} for stack in (dev, prod))
    # A statement is named by its text, and the text names the stack's roles.
    in_dev, in_prod = ({item for item in stack if item[0] != "Statement"} for stack in (in_dev, in_prod))
    assert in_prod - in_dev == {("TopicSubscription", "notifications-operators-data-platform@example.com")}
    assert in_dev - in_prod == {
        ("TopicSubscription", "notifications-operators-analyst@example.com"),
        ("SampleDimensions", "sample"),
        ("BucketObjectv2", "sample-dim_products"),
        ("BucketObjectv2", "sample-dim_customers"),
    }


def test_every_resource_belongs_to_a_component(deployed: Deployed) -> None:
    outermost = {resource.chain[0] for resource in deployed.resources}
    assert outermost == {resource.type for resource in deployed.resources if len(resource.chain) == 1}
    assert all(type_.startswith(f"{PROJECT}:index:") for type_ in outermost)


def test_every_childs_name_starts_with_its_components_name(deployed: Deployed) -> None:
    names = {resource.urn: resource.name for resource in deployed.resources}
    children = [resource for resource in deployed.resources if resource.parent in names]
    strays = [resource.urn for resource in children if not resource.name.startswith(names[resource.parent])]
    assert strays == []


def test_no_two_resources_share_a_urn(deployed: Deployed) -> None:
    """The engine refuses a second one; the mocks would keep the last in silence."""
    repeated = {urn for urn, times in Counter(resource.urn for resource in deployed.resources).items() if times > 1}
    assert repeated == set()


def test_every_taggable_resource_has_the_stacks_tags(deployed: Deployed) -> None:
    taggable = [
        resource
        for resource in deployed.resources
        if not resource.is_component and hasattr(_class_of(resource), "tags")
    ]
    assert len(taggable) > 50, "the test no longer finds the taggable resources"
    wanted = {"project": PROJECT, "environment": deployed.stack}
    untagged = [
        resource.urn
        for resource in taggable
        if not (wanted.items() <= resource.inputs.get("tags", {}).items() and resource.inputs["tags"].get("Name"))
    ]
    assert untagged == []


def test_every_argument_however_deep_is_one_the_provider_knows(deployed: Deployed) -> None:
    """Python refuses an unknown argument, but in a nested dict literal a typing mistake passes in silence."""
    unknown = [
        f"{resource.name}: {path}"
        for resource in deployed.resources
        if not resource.is_component
        for path in _unknown_keys(resource.inputs, _args_of(resource), resource.kind)
    ]
    assert unknown == []


def test_the_check_of_nested_arguments_finds_a_typing_mistake() -> None:
    inputs = {"command": {"scriptLocation": "s3://code", "pythonVersoin": "3.9"}}
    assert list(_unknown_keys(inputs, pulumi_aws.glue.JobArgs, "Job")) == ["Job.command.pythonVersoin"]


def test_all_json_is_written_as_aws_answers_it(deployed: Deployed) -> None:
    """With spaces in it, some resources would differ at every preview."""
    texts = [
        value
        for resource in deployed.resources
        for value in resource.inputs.values()
        if isinstance(value, str) and value.startswith("{")
    ]
    assert len(texts) > 25
    assert [text for text in texts if text != json.dumps(json.loads(text), separators=(",", ":"))] == []


def test_two_stacks_in_one_account_share_no_name(dev: Deployed, prod: Deployed) -> None:
    in_dev, in_prod = set(_given_names(dev)), set(_given_names(prod))
    assert len(in_dev) > 25, "the test has lost sight of the names"
    assert in_dev & in_prod == set()


# Names that are unique in an account across Regions: roles, dashboards, and buckets (unique worldwide).
ONE_PER_ACCOUNT = ("Role", "Bucket", "Dashboard")


def test_two_regions_of_an_account_share_no_account_wide_name(dev: Deployed, wheel_directory: Path) -> None:
    other = deploy("dev", wheel_directory, region="us-east-2")

    def shared_names(stack: Deployed) -> set[str]:
        return {
            name
            for resource in stack.resources
            if resource.kind in ONE_PER_ACCOUNT
            for name in (resource.inputs.get(key) for key in ("name", "bucket", "dashboardName"))
            if name
        }

    assert len(shared_names(dev)) == 3
    assert shared_names(dev) & shared_names(other) == set()
    # The database's users follow the roles' names.
    roles = {resource.inputs["name"] for resource in other.of("Role") if resource.name.startswith("processing-")}
    assert all(any(f"IAMR:{role}" in resource.inputs["sql"] for resource in other.of("Statement")) for role in roles)


@pytest.mark.parametrize("region", ["eu-west-1", "ap-southeast-2", "us-gov-west-1"])
def test_the_longest_stack_name_fits_in_every_region(region: str) -> None:
    deployment = Deployment(project=PROJECT, environment="a" * 14, region=region)
    assert max(len(role_name(deployment, job)) for job in JOBS) <= 64


def test_in_another_partition_no_arn_is_written_for_the_first(wheel_directory: Path) -> None:
    china = deploy("dev", wheel_directory, region="cn-north-1", partition="aws-cn")
    for resource in china.resources:
        text = json.dumps(dict(resource.inputs), default=str)
        # AWS publishes Powertools' layer under other accounts there: docs/aws.md says what is missing.
        text = re.sub(r"arn:aws:lambda:[a-z0-9-]+:017000801446:layer:[^\"]+", "", text)
        assert "arn:aws:" not in text, resource.urn


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_first_preview_runs_though_no_output_is_known(
    stack: str, dev: Deployed, prod: Deployed, wheel_directory: Path
) -> None:
    """A preview shows what the deployment will do: what it does not know yet, it does not make up."""
    preview = deploy(stack, wheel_directory, preview=True)
    known = [
        resource.name for resource in preview.of("RolePolicy") if not isinstance(resource.inputs["policy"], Unknown)
    ]
    assert known == []
    deployed = {resource.urn: resource for resource in {"dev": dev, "prod": prod}[stack].resources}
    assert {resource.urn for resource in preview.resources} == set(deployed)
    contradicted = [
        place
        for resource in preview.resources
        for place in _contradicted(resource.name, resource.inputs, deployed[resource.urn].inputs)
    ]
    assert contradicted == []


def _contradicted(place: str, previewed: Any, deployed: Any) -> list[str]:
    """Places where a preview shows another value than the deployment."""
    if isinstance(previewed, (Unknown, Asset, Archive)):
        return []
    if isinstance(previewed, Mapping) and isinstance(deployed, Mapping):
        pairs = [(str(key), previewed.get(key), deployed.get(key)) for key in {*previewed, *deployed}]
    elif isinstance(previewed, list) and isinstance(deployed, list) and len(previewed) == len(deployed):
        pairs = [(str(at), *pair) for at, pair in enumerate(zip(previewed, deployed, strict=True))]
    else:
        return [] if previewed == deployed else [f"{place}: {previewed!r}, not {deployed!r}"]
    return [inner for key, *pair in pairs for inner in _contradicted(f"{place} {key}", *pair)]


def test_what_a_destroy_leaves_behind_does_not_stop_the_next_up(deployed: Deployed) -> None:
    """Protected resources stay in Pulumi's state. Others that are left in AWS must be creatable again."""
    left = [
        resource for resource in deployed.resources if resource.retain_on_delete or resource.inputs.get("skipDestroy")
    ]
    assert {resource.kind for resource in left} <= {"BucketObjectv2"}


def test_what_has_a_fixed_name_goes_before_its_replacement_comes(deployed: Deployed) -> None:
    """Pulumi sees to it where the name is called `name`; elsewhere the second one would meet the first."""
    fixed = [resource for resource in deployed.resources if {"namespaceName", "workgroupName"} & set(resource.inputs)]
    named = [resource for resource in fixed if resource.kind in ("Namespace", "Workgroup")]
    assert len(named) == 2
    assert [resource.delete_before_replace for resource in named] == [True, True]


def test_names_a_person_types_are_made_of_project_stack_and_thing(deployed: Deployed) -> None:
    prefix = f"{PROJECT}-{deployed.stack}-"
    names = [name.removeprefix("/aws/lambda/") for name in _given_names(deployed)]
    assert [name for name in names if not name.startswith(prefix)] == []
    assert {len(resource.inputs["name"]) <= 64 for resource in deployed.of("Role") if "name" in resource.inputs} == {
        True
    }


def test_the_program_may_not_look_things_up_in_aws() -> None:
    with pytest.raises(Exception, match="look things up"):
        run(pulumi_aws.get_caller_identity)


def test_data_survives_pulumi_destroy_unless_the_stack_says_otherwise(dev: Deployed, prod: Deployed) -> None:
    def protected(stack: Deployed) -> set[tuple[str, bool, bool]]:
        holders = [*stack.of("Bucket"), *stack.of("Namespace")]
        return {(resource.name, resource.protect, resource.inputs.get("forceDestroy", False)) for resource in holders}

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
        "drop_bucket": "storage-drop-0a1b2c3",
        "work_bucket": "storage-work-0a1b2c3",
        "archive_bucket": "storage-archive-0a1b2c3",
        "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/transactions-pipeline-dev-drops",
        "dead_letter_queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/transactions-pipeline-dev-dead-letters",
        "topic_arn": "arn:aws:sns:eu-west-1:123456789012:transactions-pipeline-dev-outcomes",
        "operators_topic_arn": "arn:aws:sns:eu-west-1:123456789012:transactions-pipeline-dev-operators",
        "transactions_job": "transactions-pipeline-dev-process-transactions",
        "dimensions_job": "transactions-pipeline-dev-load-dimensions",
        "large_job": "",
        "large_file_bytes": 0,
        "sweep_function": "transactions-pipeline-dev-sweep",
        "workgroup": "transactions-pipeline-dev-warehouse",
        "database": "shop",
        "dashboard": "transactions-pipeline-dev-pipeline-eu-west-1",
    }


def test_without_a_wheel_the_program_names_the_command_that_builds_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`make wheel`"):
        deploy("dev", tmp_path)


def test_with_two_wheels_the_program_names_both(tmp_path: Path) -> None:
    older = WHEEL.replace("1.0.0", "0.9.0")
    for wheel in (WHEEL, older):
        (tmp_path / wheel).write_bytes(b"")
    with pytest.raises(ConfigError, match=f"{re.escape(older)}, {re.escape(WHEEL)}"):
        deploy("dev", tmp_path)


def _class_of(resource: Resource) -> type:
    """`aws:lambda/function:Function` -> pulumi_aws.lambda_.Function."""
    module = resource.type.split(":")[1].split("/")[0]
    python_name = {"lambda": "lambda_"}.get(module, module)
    resource_class: type = getattr(importlib.import_module(f"pulumi_aws.{python_name}"), resource.kind)
    return resource_class


def _args_of(resource: Resource) -> type:
    module = importlib.import_module(_class_of(resource).__module__)
    # InitArgs: where a nested argument of another resource has taken the name.
    args: type = getattr(module, f"{resource.kind}InitArgs", None) or getattr(module, f"{resource.kind}Args")
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
    return next((resource for resource in map(_nested_args, get_args(annotation)) if resource), None)


def _given_names(stack: Deployed) -> Iterator[str]:
    """The physical names that the program gives itself."""
    for resource in stack.resources:
        names: Mapping[str, Any] = {} if resource.is_component else resource.inputs
        for key in ("name", "bucket", "namespaceName", "workgroupName", "dashboardName"):
            is_reference = key == "bucket" and resource.kind != "Bucket"
            if names.get(key) and not is_reference:
                yield names[key]
