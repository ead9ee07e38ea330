"""The configuration of a stack: every key is declared, and a wrong value is refused with its key's name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.deployment import Deployment
from components.refusals import ConfigError
from schemas.retries import RETRIED_WITHIN
from tests.components.program import PROJECT, ROOT, deploy


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dropBucketName", "My_Drops"),
        ("rejectedRetentionDays", "0"),
        ("dimensionRetentionDays", "0"),
        # While a failed load may look like one whose run died, its report is kept.
        ("reportRetentionDays", str(RETRIED_WITHIN.days - 1)),
        ("oldVersionDays", "0"),
        ("rejectedRetentionDays", "36501"),
        ("dimensionRetentionDays", "36501"),
        ("reportRetentionDays", "36501"),
        ("oldVersionDays", "36501"),
        ("archiveColdAfterDays", "36501"),
        ("archiveColdClass", "GLACIER"),
        ("archiveColdAfterDays", "29"),
        ("vpcCidr", "10.60.0.0/25"),
        ("vpcCidr", "8.8.0.0/16"),
        ("vpcCidr", "10.60.0.1/16"),
        ("vpcCidr", "ten"),
        ("availabilityZones", '["eu-west-1a"]'),
        ("availabilityZones", '["eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1d"]'),
        ("availabilityZones", '["eu-west-1a", "eu-west-1b", "eu-west-1-dub-1a"]'),
        ("availabilityZones", '"eu-west-1a"'),
        ("availabilityZones", '["eu-west-1a", "eu-west-1b", "eu-west-1b"]'),
        ("availabilityZones", '["eu-west-1a", "eu-west-1b", "us-east-1a"]'),
        ("databaseName", "Shop; drop"),
        ("warehouseBaseCapacity", "5"),
        ("warehouseBaseCapacity", "520"),
        ("warehouseMaxCapacity", "12"),
        ("warehouseMaxCapacity", "520"),
        ("warehouseMaxCapacity", "-8"),
        ("warehouseRpuHoursPerDay", "0"),
        ("warehouseRpuHoursPerDay", "1000001"),
        ("warehouseLockSeconds", "59"),
        ("warehouseStatementSeconds", "86401"),
        ("jobMaxCapacity", "2"),
        ("largeFileBytes", "-1"),
        ("largeFileBytes", "268435455"),
        ("largeFileBytes", "5497558138881"),
        ("largeJobWorkers", "1"),
        ("largeJobWorkers", "300"),
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
        ("amountClasses", "Small:0,Large:" + "9" * 17),
        ("amountClasses", "é" * 33 + ":0"),
        ("amountClasses", ""),
        ("source", "shopfy"),
        ("source", ""),
        ("sameKey", "merge"),
        ("orphanDays", "0"),
        ("orphanDays", "3651"),
        ("logRetentionDays", "31"),
        ("powertoolsLayerVersion", "0"),
        ("emails", '"ann@example.com"'),
        ("emails", '["ann"]'),
        ("emails", '["ann@example.com", "ann@example.com"]'),
        ("operators", '["ann"]'),
        ("sweepMinutes", "1"),
        ("waitingDropMinutes", "0"),
        ("quietHours", "169"),
        ("openLineageUrl", "lineage.example.com"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_keys_name(key: str, value: str, wheel_directory: Path) -> None:
    # Pulumi shows the sentence of a RunError; of any other error it shows the traceback.
    with pytest.raises(pulumi.RunError, match=rf"^{key} is .*, but must be .*pulumi config set {key}"):
        deploy("dev", wheel_directory, **{key: value})


def test_replacing_uploads_without_their_history_is_refused(wheel_directory: Path) -> None:
    with pytest.raises(ConfigError, match=r"^sameKey is 'replace', but must be .*keepHistory"):
        deploy("dev", wheel_directory, sameKey="replace", keepHistory="false")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("keepData", "perhaps"),
        ("sampleDimensions", "2"),
        ("keepHistory", "sometimes"),
        ("orphanDays", "a month"),
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


def test_a_stack_name_that_does_not_fit_aws_names_is_refused() -> None:
    for name in ("Dev", "dev_1", "1dev", "a" * 20, ""):
        with pytest.raises(ConfigError, match=r"^stack is"):
            Deployment(project=PROJECT, environment=name, region="eu-west-1")


def test_pulumi_yaml_declares_exactly_the_keys_the_program_reads() -> None:
    read = set(re.findall(r'config\.require\w*\("(\w+)"\)', (ROOT / "__main__.py").read_text(encoding="utf-8")))
    declared = _yaml("Pulumi.yaml")["config"]
    assert read == set(declared)
    assert all(key["type"] and key["description"] for key in declared.values())
    assert {key for key, value in declared.items() if "default" not in value} == {"availabilityZones"}


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_stacks_file_sets_declared_keys_to_other_than_defaults(stack: str) -> None:
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
