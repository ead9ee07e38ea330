"""The buckets: private, encrypted, versioned, and what is kept for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.components.program import Deployed, deploy

GUARDS = (
    "BucketLifecycleConfiguration",
    "BucketPolicy",
    "BucketPublicAccessBlock",
    "BucketServerSideEncryptionConfiguration",
    "BucketVersioning",
)
BUCKETS = {
    "storage-drop": "storage-drop-0a1b2c3",
    "storage-work": "storage-work-0a1b2c3",
    "storage-archive": "storage-archive-0a1b2c3",
}


def _by_bucket(deployed: Deployed, kind: str) -> dict[str, Any]:
    return {resource.inputs["bucket"]: {**resource.inputs} for resource in deployed.of(kind)}


def test_every_bucket_is_private_encrypted_and_versioned(deployed: Deployed) -> None:
    names = list(BUCKETS.values())
    assert {resource.name: resource.state["bucket"] for resource in deployed.of("Bucket")} == BUCKETS
    assert _by_bucket(deployed, "BucketPublicAccessBlock") == {
        name: {
            "bucket": name,
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        }
        for name in names
    }
    assert _by_bucket(deployed, "BucketServerSideEncryptionConfiguration") == {
        name: {
            "bucket": name,
            "rules": [
                {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}, "blockedEncryptionTypes": ["SSE-C"]}
            ],
        }
        for name in names
    }
    assert _by_bucket(deployed, "BucketVersioning") == {
        name: {"bucket": name, "versioningConfiguration": {"status": "Enabled"}} for name in names
    }
    assert set(_by_bucket(deployed, "BucketPolicy")) == set(names)


def test_what_is_kept_for_how_long_follows_the_stacks_configuration(dev: Deployed) -> None:
    rules = {
        resource.name: {rule["id"]: (rule["filter"]["prefix"], _what(rule)) for rule in resource.inputs["rules"]}
        for resource in dev.of("BucketLifecycleConfiguration")
    }
    unfinished = ("", {"abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}})
    old_versions = (
        "",
        {"noncurrentVersionExpiration": {"noncurrentDays": 7}, "expiration": {"expiredObjectDeleteMarker": True}},
    )
    assert rules == {
        "storage-drop": {"old-versions": old_versions, "unfinished-uploads": unfinished},
        "storage-work": {
            "staging": (
                "staging/",
                {"expiration": {"days": 3}, "noncurrentVersionExpiration": {"noncurrentDays": 1}},
            ),
            "archiving": ("archiving/", {"expiration": {"days": 1}}),
            "rejected": ("rejected/", {"expiration": {"days": 14}}),
            "reports": ("reports/", {"expiration": {"days": 30}}),
            "old-versions": old_versions,
            "unfinished-uploads": unfinished,
        },
        "storage-archive": {
            "dimensions": (
                "dimensions/",
                {"expiration": {"days": 30}, "noncurrentVersionExpiration": {"noncurrentDays": 30}},
            ),
            "dimension-markers": ("dimensions/", {"expiration": {"expiredObjectDeleteMarker": True}}),
            "cold": (
                "",
                {
                    "transitions": [{"days": 90, "storageClass": "GLACIER_IR"}],
                    "noncurrentVersionTransitions": [{"noncurrentDays": 90, "storageClass": "GLACIER_IR"}],
                },
            ),
            "unfinished-uploads": unfinished,
        },
    }
    statuses = {
        rule["status"] for resource in dev.of("BucketLifecycleConfiguration") for rule in resource.inputs["rules"]
    }
    assert statuses == {"Enabled"}


def test_no_bucket_has_a_name_that_could_be_taken(deployed: Deployed) -> None:
    """Bucket names are unique in the world: Pulumi finds free ones unless the stack names one of its own."""
    assert [resource.name for resource in deployed.of("Bucket") if "bucket" in resource.inputs] == []


def test_a_stack_may_name_its_drop_bucket(wheel_directory: Path) -> None:
    stack = deploy("dev", wheel_directory, dropBucketName="shop-drops")
    assert {resource.name: resource.inputs.get("bucket") for resource in stack.of("Bucket")} == {
        "storage-drop": "shop-drops",
        "storage-work": None,
        "storage-archive": None,
    }


def test_everything_that_guards_a_kept_bucket_is_kept_with_it(dev: Deployed, prod: Deployed) -> None:
    """`pulumi destroy --exclude-protected` deletes each unprotected resource, even a part of a protected one."""
    for stack, kept in ((prod, True), (dev, False)):
        buckets = {resource.state["bucket"]: resource.protect for resource in stack.of("Bucket")}
        # Whatever else names a bucket: objects come again, and the notification is part of the pipeline.
        not_guards = ("Bucket", "BucketObjectv2", "BucketNotification")
        guards = {
            (resource.kind, resource.inputs["bucket"]): resource.protect
            for resource in stack.resources
            if resource.inputs.get("bucket") in buckets and resource.kind not in not_guards
        }
        assert set(buckets.values()) == {kept}
        assert guards == {(kind, bucket): kept for kind in GUARDS for bucket in buckets}


def test_nothing_in_the_archive_but_dimensions_ever_expires(deployed: Deployed) -> None:
    """An old version there is an earlier drop under the same key."""
    rules = deployed.only("BucketLifecycleConfiguration", "storage-archive").inputs["rules"]
    expiring = [rule for rule in rules if "expiration" in rule or "noncurrentVersionExpiration" in rule]
    assert {rule["filter"]["prefix"] for rule in expiring} == {"dimensions/"}


def test_what_the_sweep_goes_by_never_expires(deployed: Deployed) -> None:
    """Without its claim a drop looks as if it was never started; without the note an outcome looks as if it was not
    mailed."""
    rules = deployed.only("BucketLifecycleConfiguration", "storage-work").inputs["rules"]
    expiring = [rule["filter"]["prefix"] for rule in rules if "days" in rule.get("expiration", {})]
    assert sorted(expiring) == ["archiving/", "rejected/", "reports/", "staging/"]


def _what(rule: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key not in ("id", "status", "filter")}
