"""A stack of version 1.0.0 and what `pulumi up` of this version replaces in it.

`released_1_0_0.json` is what that version declared: type and name of each resource, and what AWS knows it by.
Pulumi creates a replacement before it deletes what it replaces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from tests.components.program import Deployed, deploy

pytestmark = pytest.mark.flow

RELEASED: dict[str, dict[str, dict[str, str]]] = json.loads(
    (Path(__file__).parent / "released_1_0_0.json").read_text(encoding="utf-8")
)
ELSEWHERE = "10.80.0.0/16"
HOLDS_DATA = ("Bucket", "Namespace", "Workgroup", "Queue", "Job", "Function")


def upgraded(stack: str, wheel_directory: Path, **settings: str) -> dict[str, Mapping[str, Any]]:
    """Type and name -> the inputs that this version declares."""
    declared: Deployed = deploy(stack, wheel_directory, **settings)
    return {
        f"{resource.type} {resource.name}": resource.inputs
        for resource in declared.resources
        if not resource.is_component
    }


def replaced(stack: str, today: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Resource declared by both versions under different names in AWS -> the property with the new name."""
    by_key: dict[str, list[str]] = {}
    for key, identity in RELEASED[stack].items():
        if key in today:
            changed = [name for name, value in identity.items() if today[key].get(name) != value]
            if changed:
                by_key[key] = changed
    return by_key


def kinds(keys: Mapping[str, Any]) -> set[str]:
    return {key.split()[0].rpartition(":")[2] for key in keys}


@pytest.fixture(params=["dev", "prod"])
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def settings_of(stack: str) -> dict[str, str]:
    """The two settings that CHANGELOG.md asks for before an upgrade."""
    return {"dropBucketName": f"transactions-pipeline-{stack}-drop", "vpcCidr": ELSEWHERE}


def test_an_upgrade_replaces_nothing_that_holds_data(stack: str, wheel_directory: Path) -> None:
    today = upgraded(stack, wheel_directory, **settings_of(stack))
    assert kinds(replaced(stack, today)) == {"Vpc", "Subnet", "Role", "Dashboard"}
    missing = {key for key in RELEASED[stack] if key not in today}
    # Statements are named by their text now, and the topic has two heirs. Glue's log groups are forgotten.
    assert kinds(dict.fromkeys(missing)) <= {"Statement", "Topic", "TopicPolicy", "TopicSubscription", "LogGroup"}
    assert {kind for kind in HOLDS_DATA if kind in kinds(dict.fromkeys(missing))} == set()


def test_what_an_upgrade_creates_meets_no_name_that_still_exists(stack: str, wheel_directory: Path) -> None:
    today = upgraded(stack, wheel_directory, **settings_of(stack))
    old = {(key.split()[0], name) for key, identity in RELEASED[stack].items() for name in _names(identity)}
    new = {
        (key.split()[0], name)
        for key, inputs in today.items()
        if key not in RELEASED[stack] or key in replaced(stack, today)
        for name in _names(inputs)
    }
    assert len(new) > 4
    assert old & new == set()


def test_an_upgrade_without_its_settings_would_lose_the_bucket(stack: str, wheel_directory: Path) -> None:
    """Why CHANGELOG.md asks for them."""
    today = upgraded(stack, wheel_directory)
    assert "aws:s3/bucket:Bucket storage-drop" in replaced(stack, today)
    subnet = "aws:ec2/subnet:Subnet network-eu-west-1a"
    before, after = RELEASED[stack][subnet]["cidrBlock"], today[subnet]["cidrBlock"]
    assert before != after
    assert IPv4Network(before).overlaps(IPv4Network(after))


def test_the_changelog_says_what_an_upgrade_needs() -> None:
    changelog = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    for command in ("pulumi config set dropBucketName transactions-pipeline-dev-drop", f"vpcCidr {ELSEWHERE}"):
        assert command in changelog


def _names(identity: Mapping[str, Any]) -> list[str]:
    """Names that AWS takes once in an account or Region."""
    keys = ("name", "bucket", "namespaceName", "workgroupName", "dashboardName")
    return [identity[key] for key in keys if isinstance(identity.get(key), str)]
