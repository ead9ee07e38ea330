"""The buckets and their objects, created in moto's S3."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from local.provider.context import (
    Create,
    Inputs,
    MotoProvider,
    Outputs,
    UnknownResource,
    capital,
    capitals,
    tag_list,
    unique_name,
)


def _bucket(provider: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    bucket = inputs.get("bucket") or unique_name(name)
    provider.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": provider.aws.region}
    )
    if inputs.get("tags"):
        provider.client("s3").put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_list(inputs)})
    return {"id": bucket, "bucket": bucket, "arn": f"arn:aws:s3:::{bucket}"}


def _bucket_versioning(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    provider.client("s3").put_bucket_versioning(
        Bucket=inputs["bucket"], VersioningConfiguration=capitals(inputs["versioningConfiguration"])
    )
    return {}


def _bucket_encryption(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": {
                "SSEAlgorithm": rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"]
            },
            "BlockedEncryptionTypes": {"EncryptionType": rule["blockedEncryptionTypes"]},
        }
        for rule in inputs["rules"]
    ]
    provider.client("s3").put_bucket_encryption(
        Bucket=inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}
    )
    return {}


def _bucket_public_access(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    names = ("blockPublicAcls", "ignorePublicAcls", "blockPublicPolicy", "restrictPublicBuckets")
    provider.client("s3").put_public_access_block(
        Bucket=inputs["bucket"],
        PublicAccessBlockConfiguration={capital(name): inputs.get(name, False) for name in names},
    )
    return {}


def _bucket_policy(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    provider.client("s3").put_bucket_policy(Bucket=inputs["bucket"], Policy=inputs["policy"])
    return {}


def _bucket_lifecycle(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    rules = [{"ID": rule["id"], **capitals({k: v for k, v in rule.items() if k != "id"})} for rule in inputs["rules"]]
    provider.client("s3").put_bucket_lifecycle_configuration(
        Bucket=inputs["bucket"], LifecycleConfiguration={"Rules": rules}
    )
    return {}


def _bucket_notification(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    unknown = set(inputs) - {"bucket", "queues"}
    if unknown:
        raise UnknownResource(f"the local cloud's buckets notify queues only, not {', '.join(sorted(unknown))}")
    queues = []
    for queue in inputs["queues"]:
        rules = [
            {"Name": word, "Value": queue[f"filter{capital(word)}"]}
            for word in ("prefix", "suffix")
            if queue.get(f"filter{capital(word)}")
        ]
        filtered = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
        queues.append({"Id": queue["id"], "QueueArn": queue["queueArn"], "Events": queue["events"], **filtered})
    provider.client("s3").put_bucket_notification_configuration(
        Bucket=inputs["bucket"], NotificationConfiguration={"QueueConfigurations": queues}
    )
    return {}


def _bucket_object(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    body = Path(inputs["source"].path).read_bytes()
    headers = {"ContentType": inputs.get("contentType") or "application/octet-stream"}
    if inputs.get("tags"):
        headers["Tagging"] = urlencode(inputs["tags"])
    provider.client("s3").put_object(Bucket=inputs["bucket"], Key=inputs["key"], Body=body, **headers)
    return {"id": inputs["key"], "arn": f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}"}


CREATE: dict[str, Create] = {
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _bucket_lifecycle,
    "aws:s3/bucketNotification:BucketNotification": _bucket_notification,
    "aws:s3/bucketObjectv2:BucketObjectv2": _bucket_object,
    "aws:s3/bucketPolicy:BucketPolicy": _bucket_policy,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _bucket_public_access,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _bucket_encryption,
    "aws:s3/bucketVersioning:BucketVersioning": _bucket_versioning,
}
