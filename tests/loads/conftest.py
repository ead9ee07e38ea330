"""One S3 and one warehouse for the whole run. A test gets a new database in it, or an emptied one."""

from __future__ import annotations

import functools
import json
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore import handlers
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.loaders import JSONFileLoader
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber
from moto.server import ThreadedMotoServer
from redshift_connector.iam_helper import IamHelper

import jobs.attempt
from redshift_emulator import Warehouse
from tests.loads.shop import Shop, fresh
from tests.strategies.hostile_content import SOUND_CUSTOMERS, SOUND_PRODUCTS


@pytest.fixture(scope="package")
def s3_url() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _without_a_socket(s3_url: str) -> tuple[str, Callable[..., AWSResponse | None]]:
    """The handler by which moto answers this process's requests to S3. HTTP would take a third of a load's time."""

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        if not request.url.startswith(s3_url):
            return None
        request.url = "https://s3.amazonaws.com" + request.url.removeprefix(s3_url)
        answered = botocore_stubber.process_request(request)
        assert answered is not None, f"moto has no {request.method} {request.url}"
        status, headers, body = answered
        return AWSResponse(request.url, status, headers, MockRawResponse(body))

    return "before-send.s3", answer


def _one_client_for_each_key() -> Callable[..., Any]:
    make, made = IamHelper.get_boto3_redshift_client, dict[str, Any]()
    lock = threading.Lock()

    def client(*arguments: Any) -> Any:
        with lock:
            key = os.environ["AWS_ACCESS_KEY_ID"]
            return made[key] if key in made else made.setdefault(key, make(*arguments))

    return client


@pytest.fixture(scope="package")
def mall(s3_url: str) -> Iterator[Shop]:
    """Buckets and a warehouse, still without a database."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        # Sessions have the handlers that were there when they were made, so the warehouse and boto3 make new ones.
        patch.setattr(handlers, "BUILTIN_HANDLERS", [*handlers.BUILTIN_HANDLERS, _without_a_socket(s3_url)])
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        warehouse = running.enter_context(Warehouse.start(s3_endpoint_url=s3_url))
        # A process needs one or two clients. Creating them for each of a thousand loads would take half of the time.
        patch.setattr(JSONFileLoader, "load_file", staticmethod(functools.cache(JSONFileLoader().load_file)))
        patch.setattr(IamHelper, "get_boto3_redshift_client", staticmethod(_one_client_for_each_key()))
        for name, value in {
            **warehouse.client_environment(),
            "AWS_ACCESS_KEY_ID": "laptop",
            "AWS_SECRET_ACCESS_KEY": "laptop",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": s3_url,
        }.items():
            patch.setenv(name, value)
        s3 = boto3.client("s3")
        patch.setattr(jobs.attempt, "s3_client", lambda _: s3)
        suffix = uuid.uuid4().hex[:8]
        drop_bucket, work_bucket = f"drop-{suffix}", f"work-{suffix}"
        for bucket in (drop_bucket, work_bucket):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=drop_bucket, VersioningConfiguration={"Status": "Enabled"})
        iam = boto3.client("iam", endpoint_url=s3_url)
        trust = {"Version": "2012-10-17", "Statement": []}
        role = iam.create_role(RoleName=f"copy-{suffix}", AssumeRolePolicyDocument=json.dumps(trust))
        shop = Shop(warehouse, s3, drop_bucket, work_bucket, warehouse.database, role["Role"]["Arn"])
        yield shop
        shop.close()


@pytest.fixture(scope="package")
def _sound_shop(mall: Shop) -> Iterator[Shop]:
    for shop in fresh(mall):
        shop.load_dimension_rows(SOUND_PRODUCTS, SOUND_CUSTOMERS)
        yield shop


@pytest.fixture
def sound_shop(_sound_shop: Shop) -> Iterator[Shop]:
    """A shop that knows SOUND_PRODUCTS and SOUND_CUSTOMERS, for tests that leave these as they are."""
    _sound_shop.clean()
    # A copy, so that the settings of one test do not reach the next.
    own = replace(_sound_shop)
    yield own
    assert own.left_staged() == []


@pytest.fixture
def shop(mall: Shop) -> Iterator[Shop]:
    yield from fresh(mall)
