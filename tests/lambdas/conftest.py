from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws
from moto.moto_api import state_manager

from tests.lambdas.cloud import ARCHIVE, DIMENSIONS_JOB, DROPS, REGION, TRANSACTIONS_JOB, WORK, Cloud


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A fresh stack, its functions' environment, and runs that end only when a test says so."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        state_manager.set_transition("glue::job_run", {"progression": "manual", "times": 10**9})
        made = Cloud.create()
        made.settings(
            monkeypatch,
            DROP_BUCKET=DROPS,
            WORK_BUCKET=WORK,
            ARCHIVE_BUCKET=ARCHIVE,
            TRANSACTIONS_JOB=TRANSACTIONS_JOB,
            DIMENSIONS_JOB=DIMENSIONS_JOB,
            QUEUE_URL=made.queue_url,
            TOPIC_ARN=made.topic_arn,
            ENVIRONMENT="dev",
            JOB_LOG_GROUP="/aws-glue/python-jobs/output",
            ARCHIVE_FUNCTION="shop-archive",
            NOTIFY_FUNCTION="shop-notify",
        )
        yield made
        state_manager.unset_transition("glue::job_run")
