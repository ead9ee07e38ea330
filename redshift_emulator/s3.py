"""The objects that COPY reads and UNLOAD writes, accessed with the rights of the role in the statement."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from redshift_emulator.errors import RedshiftError

_ROLE_LASTS_SECONDS = 900


class ObjectName(NamedTuple):
    """A bucket and a key, or a prefix of keys."""

    bucket: str
    key: str

    @classmethod
    def of(cls, url: str) -> ObjectName:
        """From an s3:// URL."""
        bucket, slash, key = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not bucket or not slash:
            raise RedshiftError("XX000", f"The S3 path {url!r} is invalid: it must be s3://bucket/key")
        return cls(bucket, key)

    @property
    def url(self) -> str:
        """As an s3:// URL."""
        return f"s3://{self.bucket}/{self.key}"


class ObjectStore:
    """S3 at `endpoint_url`; the methods block and are called from threads."""

    def __init__(self, endpoint_url: str | None, service_credentials: tuple[str, str], region: str) -> None:
        self._endpoint_url = endpoint_url
        self._service_credentials = service_credentials
        self._region = region
        # a session of its own and a lock, because boto3's default session is not thread-safe
        self._aws_session = boto3.session.Session()
        self._lock = threading.Lock()
        self._clients: dict[str | None, tuple[float, Any]] = {}

    def _client(self, iam_role: str | None) -> Any:
        if self._endpoint_url is None:
            raise RedshiftError("XX000", "this warehouse was started without an S3 endpoint: give it s3_endpoint_url")
        with self._lock:
            until, client = self._clients.get(iam_role, (0.0, None))
            if client is None or until < time.monotonic():
                client = self._aws("s3", self._keys(iam_role))
                self._clients[iam_role] = (time.monotonic() + _ROLE_LASTS_SECONDS / 2, client)
            return client

    def _keys(self, iam_role: str | None) -> dict[str, str]:
        service = dict(zip(("aws_access_key_id", "aws_secret_access_key"), self._service_credentials, strict=True))
        if iam_role is None:
            return service
        try:
            response = self._aws("sts", service).assume_role(
                RoleArn=iam_role, RoleSessionName="redshift", DurationSeconds=_ROLE_LASTS_SECONDS
            )
        except (BotoCoreError, ClientError) as error:
            raise RedshiftError("XX000", f"Not authorized to assume the IAM role {iam_role}", str(error)) from error
        keys = response["Credentials"]
        return {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        }

    def _aws(self, service: str, keys: dict[str, str]) -> Any:
        session: Any = self._aws_session
        return session.client(service, endpoint_url=self._endpoint_url, region_name=self._region, **keys)

    def size(self, name: ObjectName, iam_role: str | None) -> int | None:
        """The object's bytes; None when there is no such object."""
        try:
            return int(self._client(iam_role).head_object(Bucket=name.bucket, Key=name.key)["ContentLength"])
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return None
            raise _s3_error(name, error) from error

    def read(self, name: ObjectName, iam_role: str | None) -> bytes:
        """The content of a small object."""
        try:
            return bytes(self._client(iam_role).get_object(Bucket=name.bucket, Key=name.key)["Body"].read())
        except (BotoCoreError, ClientError) as error:
            raise _s3_error(name, error) from error

    def download(self, name: ObjectName, path: Path, iam_role: str | None) -> None:
        """Downloads an object into a file."""
        try:
            self._client(iam_role).download_file(name.bucket, name.key, str(path))
        except (BotoCoreError, ClientError) as error:
            raise _s3_error(name, error) from error

    def upload(self, path: Path, name: ObjectName, iam_role: str | None) -> None:
        """Uploads a file as an object."""
        try:
            self._client(iam_role).upload_file(str(path), name.bucket, name.key)
        except (BotoCoreError, ClientError, boto3.exceptions.S3UploadFailedError) as error:
            raise _s3_error(name, error) from error

    def under(self, prefix: ObjectName, iam_role: str | None) -> list[ObjectName]:
        """The objects whose keys begin with the prefix, in the order of keys."""
        try:
            pages = (
                self._client(iam_role)
                .get_paginator("list_objects_v2")
                .paginate(Bucket=prefix.bucket, Prefix=prefix.key)
            )
            return [ObjectName(prefix.bucket, entry["Key"]) for page in pages for entry in page.get("Contents", [])]
        except (BotoCoreError, ClientError) as error:
            raise _s3_error(prefix, error) from error

    def delete(self, name: ObjectName, iam_role: str | None) -> None:
        """Removes an object."""
        try:
            self._client(iam_role).delete_object(Bucket=name.bucket, Key=name.key)
        except (BotoCoreError, ClientError) as error:
            raise _s3_error(name, error) from error


def _s3_error(name: ObjectName, error: Exception) -> RedshiftError:
    response: dict[str, Any] = getattr(error, "response", {})
    code = response.get("Error", {}).get("Code", type(error).__name__)
    return RedshiftError("XX000", f"S3ServiceException: {code} for {name.url}", str(error))
