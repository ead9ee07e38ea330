"""The three buckets: for drops, for the pipeline's own files, and for the archive of loaded files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import s3

from components.deployment import Deployment
from components.permissions import policy, refuse_plain_http
from components.pipeline_component import PipelineComponent
from components.refusals import require
from schemas.drops import DIMENSIONS_PREFIX
from schemas.work_bucket import ARCHIVING, REJECTED, REPORTS, STAGING

STAGING_DAYS = 3
# A deleted staged file stays as an old version: it costs money and keeps a second copy of customers' levels.
STAGING_OLD_VERSION_DAYS = 1
ARCHIVING_DAYS = 1
UNFINISHED_UPLOAD_DAYS = 7
MOST_DAYS = 36_500
"""A hundred years. S3 counts days in 32 bits and adds them to a date."""

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
RESERVED_BEGINNINGS = ("xn--", "sthree-", "amzn-s3-demo-")
RESERVED_ENDINGS = ("-s3alias", "--ol-s3", "--x-s3", "--table-s3")

# Storage classes with immediate GET, so that `archive` can verify the copies.
COLD_CLASSES = ("STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR")

Rule = s3.BucketLifecycleConfigurationRuleArgsDict


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    deployment: Deployment
    drop_bucket_name: str | None
    """Bucket names are unique worldwide; with None Pulumi chooses a free one."""
    keep_data: bool
    """True: `pulumi destroy` refuses to delete the buckets. False: it deletes them with their content."""
    rejected_retention_days: int
    report_retention_days: int
    old_version_days: int
    dimension_retention_days: int
    archive_cold_class: str
    archive_cold_after_days: int

    def __post_init__(self) -> None:
        require(
            self.drop_bucket_name is None
            or (
                re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", self.drop_bucket_name) is not None
                and not self.drop_bucket_name.startswith(RESERVED_BEGINNINGS)
                and not self.drop_bucket_name.endswith(RESERVED_ENDINGS)
            ),
            "drop_bucket_name",
            self.drop_bucket_name,
            "3 to 63 lower-case letters, digits and hyphens, without what S3 reserves: "
            f"{', '.join(RESERVED_BEGINNINGS)} at the beginning, {', '.join(RESERVED_ENDINGS)} at the end",
        )
        # The sweep needs the report this long, to distinguish a failed load from a run that died.
        # S3 moves no object to an infrequent-access class before it is 30 days old.
        for field, least in (
            ("rejected_retention_days", 1),
            ("report_retention_days", 2),
            ("old_version_days", 1),
            ("dimension_retention_days", 1),
            ("archive_cold_after_days", 30),
        ):
            days = getattr(self, field)
            require(least <= days <= MOST_DAYS, field, days, f"from {least} to {MOST_DAYS} days")
        require(
            self.archive_cold_class in COLD_CLASSES,
            "archive_cold_class",
            self.archive_cold_class,
            f"one of {', '.join(COLD_CLASSES)}",
        )


class Storage(PipelineComponent):
    """The drop bucket, the work bucket and the archive bucket."""

    drop: s3.Bucket
    work: s3.Bucket
    archive: s3.Bucket

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        self._args = args
        self.drop = self._bucket("drop", self._drop_rules(), bucket_name=args.drop_bucket_name)
        self.work = self._bucket("work", self._work_rules())
        self.archive = self._bucket("archive", self._archive_rules())
        self.register_outputs(
            {
                "drop_bucket": self.drop.bucket,
                "work_bucket": self.work.bucket,
                "archive_bucket": self.archive.bucket,
            }
        )

    @property
    def buckets(self) -> tuple[s3.Bucket, s3.Bucket, s3.Bucket]:
        return self.drop, self.work, self.archive

    def _drop_rules(self) -> list[Rule]:
        return [self._expire_old_versions()]

    def _work_rules(self) -> list[Rule]:
        args = self._args
        # Claims and notes about sent mails never expire: without a claim the sweep would start the drop's run
        # again, and without a note it would send the mail again.
        return [
            _expire(STAGING, STAGING_DAYS, noncurrent_version_expiration={"noncurrent_days": STAGING_OLD_VERSION_DAYS}),
            # An archiving lease is held for minutes.
            _expire(ARCHIVING, ARCHIVING_DAYS),
            _expire(REJECTED, args.rejected_retention_days),
            _expire(REPORTS, args.report_retention_days),
            self._expire_old_versions(),
        ]

    def _archive_rules(self) -> list[Rule]:
        # An old version in the archive is an earlier drop under the same key: kept, in the same storage class.
        cold, days = self._args.archive_cold_class, self._args.archive_cold_after_days
        kept = self._args.dimension_retention_days
        return [
            # Files of customers hold names and addresses. A replaced one is kept just as long after its replacement.
            _expire(DIMENSIONS_PREFIX, kept, noncurrent_version_expiration={"noncurrent_days": kept}),
            _rule("dimension-markers", prefix=DIMENSIONS_PREFIX, expiration={"expired_object_delete_marker": True}),
            _rule(
                "cold",
                transitions=[{"days": days, "storage_class": cold}],
                noncurrent_version_transitions=[{"noncurrent_days": days, "storage_class": cold}],
            ),
        ]

    def _expire_old_versions(self) -> Rule:
        return _rule(
            "old-versions",
            noncurrent_version_expiration={"noncurrent_days": self._args.old_version_days},
            expiration={"expired_object_delete_marker": True},
        )

    def _bucket(self, resource: str, rules: Sequence[Rule], bucket_name: str | None = None) -> s3.Bucket:
        """A versioned, encrypted bucket that only this account can use, and only over TLS."""
        name, keep = f"{self._name}-{resource}", self._args.keep_data
        bucket = s3.Bucket(
            name,
            bucket=bucket_name,
            force_destroy=not keep,
            tags=self._tags(resource),
            opts=self._child(protect=keep),
        )
        self._guard_access(name, bucket)
        self._guard_content(name, bucket, rules)
        return bucket

    def _guard_access(self, name: str, bucket: s3.Bucket) -> None:
        """No access from outside the account, and none without TLS.

        A kept bucket keeps this guard and the others: `pulumi destroy --exclude-protected`
        would otherwise leave the data without versions, without encryption rules and open to public policies.
        """
        keep = self._args.keep_data
        private = s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._child(protect=keep),
        )
        s3.BucketPolicy(
            name,
            bucket=bucket.bucket,
            policy=policy([refuse_plain_http("s3:*", [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")])]),
            # S3 responds with 409 to two concurrent changes of a bucket's access.
            opts=self._child(private, protect=keep),
        )

    def _guard_content(self, name: str, bucket: s3.Bucket, rules: Sequence[Rule]) -> None:
        """Set versioning, encryption and expiry."""
        keep = self._args.keep_data
        versioning = s3.BucketVersioning(
            name,
            bucket=bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=self._child(protect=keep),
        )
        s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"},
                    # This account could not read an object that an uploader encrypted with its own key.
                    "blocked_encryption_types": ["SSE-C"],
                }
            ],
            opts=self._child(protect=keep),
        )
        unfinished = _rule(
            "unfinished-uploads", abort_incomplete_multipart_upload={"days_after_initiation": UNFINISHED_UPLOAD_DAYS}
        )
        s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[*rules, unfinished],
            # A rule about old versions needs versioning to be on.
            opts=self._child(versioning, protect=keep),
        )


def _expire(prefix: str, days: int, **more: Any) -> Rule:
    return _rule(prefix.rstrip("/"), prefix=prefix, expiration={"days": days}, **more)


def _rule(rule_id: str, *, prefix: str = "", **what: Any) -> Rule:
    rule: Rule = {"id": rule_id, "status": "Enabled", "filter": {"prefix": prefix}, **what}  # type: ignore[typeddict-item]
    return rule
