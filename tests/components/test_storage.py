"""The buckets: private, encrypted, versioned, and what is kept for how long."""

from __future__ import annotations

from typing import Any

from tests.components.program import Deployed

BUCKETS = {
    "storage-drop": "transactions-pipeline-{stack}-drop",
    "storage-work": "storage-work-0a1b2c3",
    "storage-archive": "storage-archive-0a1b2c3",
}


def _by_bucket(deployed: Deployed, kind: str) -> dict[str, Any]:
    return {found.inputs["bucket"]: {**found.inputs} for found in deployed.of(kind)}


def test_every_bucket_is_private_encrypted_and_versioned(deployed: Deployed) -> None:
    names = [name.format(stack=deployed.stack) for name in BUCKETS.values()]
    assert {found.name: found.state["bucket"] for found in deployed.of("Bucket")} == dict(
        zip(BUCKETS, names, strict=True)
    )
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
        name: {"bucket": name, "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]}
        for name in names
    }
    assert _by_bucket(deployed, "BucketVersioning") == {
        name: {"bucket": name, "versioningConfiguration": {"status": "Enabled"}} for name in names
    }
    assert set(_by_bucket(deployed, "BucketPolicy")) == set(names)


def test_what_is_kept_for_how_long_follows_the_stacks_configuration(dev: Deployed) -> None:
    rules = {
        found.name: {rule["id"]: (rule["filter"]["prefix"], _what(rule)) for rule in found.inputs["rules"]}
        for found in dev.of("BucketLifecycleConfiguration")
    }
    unfinished = ("", {"abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}})
    old_versions = (
        "",
        {"noncurrentVersionExpiration": {"noncurrentDays": 7}, "expiration": {"expiredObjectDeleteMarker": True}},
    )
    assert rules == {
        "storage-drop": {"old-versions": old_versions, "unfinished-uploads": unfinished},
        "storage-work": {
            "staging": ("staging/", {"expiration": {"days": 3}}),
            "archiving": ("archiving/", {"expiration": {"days": 1}}),
            "rejected": ("rejected/", {"expiration": {"days": 14}}),
            "reports": ("reports/", {"expiration": {"days": 30}}),
            "old-versions": old_versions,
            "unfinished-uploads": unfinished,
        },
        "storage-archive": {
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
    statuses = {rule["status"] for found in dev.of("BucketLifecycleConfiguration") for rule in found.inputs["rules"]}
    assert statuses == {"Enabled"}


def test_nothing_in_the_archive_ever_expires(deployed: Deployed) -> None:
    """An old version there is an earlier drop under the same key."""
    rules = deployed.one("BucketLifecycleConfiguration", "storage-archive").inputs["rules"]
    assert [rule for rule in rules if "expiration" in rule or "noncurrentVersionExpiration" in rule] == []


def test_what_the_sweep_goes_by_never_expires(deployed: Deployed) -> None:
    """Without its claim a drop looks as if it was never started, without the note an outcome as if nobody was told."""
    rules = deployed.one("BucketLifecycleConfiguration", "storage-work").inputs["rules"]
    expiring = [rule["filter"]["prefix"] for rule in rules if "days" in rule.get("expiration", {})]
    assert sorted(expiring) == ["archiving/", "rejected/", "reports/", "staging/"]


def _what(rule: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key not in ("id", "status", "filter")}
