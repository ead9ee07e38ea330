"""Where a file lies from the moment it is dropped, and what is kept for how long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import s3

from components.deployment import Deployment
from components.permissions import policy, refuse_plain_http
from components.refusals import require
from schemas.work_bucket import ARCHIVING, REJECTED, REPORTS, STAGING

STAGING_DAYS = 3
ARCHIVING_DAYS = 1
UNFINISHED_UPLOAD_DAYS = 7

# Classes that still answer a GET at once, so that `archive` can verify what it finds there.
COLD_CLASSES = ("STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR")

Rule = s3.BucketLifecycleConfigurationRuleArgsDict


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    deployment: Deployment
    drop_bucket_name: str
    """Bucket names are unique in the whole world: a stack whose default name is taken gives another."""
    keep_data: bool
    """True: `pulumi destroy` refuses to touch the buckets. False: it deletes them with all they hold."""
    rejected_retention_days: int
    report_retention_days: int
    old_version_days: int
    archive_cold_class: str
    archive_cold_after_days: int

    def __post_init__(self) -> None:
        require(
            re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", self.drop_bucket_name) is not None,
            "drop_bucket_name",
            self.drop_bucket_name,
            "3 to 63 lower-case letters, digits and hyphens",
        )
        for field in ("rejected_retention_days", "old_version_days"):
            require(getattr(self, field) >= 1, field, getattr(self, field), "at least 1 day")
        # For so long the sweep tells a load that failed from one whose run died by its report.
        require(self.report_retention_days >= 2, "report_retention_days", self.report_retention_days, "at least 2 days")
        require(
            self.archive_cold_class in COLD_CLASSES,
            "archive_cold_class",
            self.archive_cold_class,
            f"one of {', '.join(COLD_CLASSES)}",
        )
        # S3 takes nothing to an infrequent-access class before it is 30 days old.
        require(
            self.archive_cold_after_days >= 30,
            "archive_cold_after_days",
            self.archive_cold_after_days,
            "at least 30 days",
        )


class Storage(pulumi.ComponentResource):
    """The drop bucket, the work bucket and the archive bucket."""

    drop_bucket: pulumi.Output[str]
    drop_bucket_arn: pulumi.Output[str]
    work_bucket: pulumi.Output[str]
    work_bucket_arn: pulumi.Output[str]
    archive_bucket: pulumi.Output[str]
    archive_bucket_arn: pulumi.Output[str]

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("transactions-pipeline:index:Storage", name, {}, opts)
        self._name, self._args = name, args

        drop = self._bucket("drop", self._drop_rules(), bucket_name=args.drop_bucket_name)
        work = self._bucket("work", self._work_rules())
        archive = self._bucket("archive", self._archive_rules())

        self.drop_bucket, self.drop_bucket_arn = drop.bucket, drop.arn
        self.work_bucket, self.work_bucket_arn = work.bucket, work.arn
        self.archive_bucket, self.archive_bucket_arn = archive.bucket, archive.arn
        self.register_outputs(
            {
                "drop_bucket": self.drop_bucket,
                "work_bucket": self.work_bucket,
                "archive_bucket": self.archive_bucket,
            }
        )

    def _drop_rules(self) -> list[Rule]:
        return [self._expire_old_versions()]

    def _work_rules(self) -> list[Rule]:
        args = self._args
        # Claims and notes that an outcome was told never expire: without them the sweep would take a
        # drop for one that was never started, and an outcome for one that nobody was told of.
        return [
            _expire(STAGING, STAGING_DAYS),
            # Who may archive is a matter of minutes.
            _expire(ARCHIVING, ARCHIVING_DAYS),
            _expire(REJECTED, args.rejected_retention_days),
            _expire(REPORTS, args.report_retention_days),
            self._expire_old_versions(),
        ]

    def _archive_rules(self) -> list[Rule]:
        # An old version in the archive is an earlier drop under the same key: kept, as cold as the rest.
        cold, days = self._args.archive_cold_class, self._args.archive_cold_after_days
        return [
            _rule(
                "cold",
                transitions=[{"days": days, "storage_class": cold}],
                noncurrent_version_transitions=[{"noncurrent_days": days, "storage_class": cold}],
            )
        ]

    def _expire_old_versions(self) -> Rule:
        return _rule(
            "old-versions",
            noncurrent_version_expiration={"noncurrent_days": self._args.old_version_days},
            expiration={"expired_object_delete_marker": True},
        )

    def _bucket(self, thing: str, rules: Sequence[Rule], bucket_name: str | None = None) -> s3.Bucket:
        """A versioned, encrypted bucket that only TLS and only this account reaches."""
        name = f"{self._name}-{thing}"
        child = pulumi.ResourceOptions(parent=self)
        keep = self._args.keep_data
        bucket = s3.Bucket(
            name,
            bucket=bucket_name,
            force_destroy=not keep,
            tags=self._args.deployment.tags(Name=self._args.deployment.name(thing)),
            opts=pulumi.ResourceOptions(parent=self, protect=keep),
        )
        versioning = s3.BucketVersioning(
            name, bucket=bucket.bucket, versioning_configuration={"status": "Enabled"}, opts=child
        )
        s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        )
        private = s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        s3.BucketPolicy(
            name,
            bucket=bucket.bucket,
            policy=policy([refuse_plain_http("s3:*", [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")])]),
            # S3 answers 409 to two changes of a bucket's access at once.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[private]),
        )
        unfinished = _rule(
            "unfinished-uploads", abort_incomplete_multipart_upload={"days_after_initiation": UNFINISHED_UPLOAD_DAYS}
        )
        s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[*rules, unfinished],
            # A rule about old versions wants versioning to be on.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        return bucket


def _expire(prefix: str, days: int) -> Rule:
    return _rule(prefix.rstrip("/"), prefix=prefix, expiration={"days": days})


def _rule(rule_id: str, *, prefix: str = "", **what: Any) -> Rule:
    rule: Rule = {"id": rule_id, "status": "Enabled", "filter": {"prefix": prefix}, **what}  # type: ignore[typeddict-item]
    return rule
