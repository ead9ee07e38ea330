"""Which of the driver's errors are retried."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from unittest import mock

import pytest
from redshift_connector.error import ProgrammingError

from jobs.arguments import WarehouseAddress
from jobs.attempt import describe
from jobs.errors import TerminalError, WarehouseBusy, WarehouseSpent
from jobs.load.driver_errors import translate_driver_errors
from jobs.load.session import WarehouseSession

WAREHOUSE = WarehouseAddress(
    workgroup="shop",
    host="localhost",
    port=5439,
    database="dev",
    account_id="123456789012",
    region="us-east-1",
    copy_role_arn="arn:aws:iam::123456789012:role/copy",
    lock_seconds=300,
    statement_seconds=1800,
)


def tries_of(text: str) -> tuple[int, type[BaseException]]:
    """How often a statement with this XX000 error is sent, and its final error."""
    tries = []

    def send(_: Any) -> None:
        tries.append(1)
        raise ProgrammingError({"S": "ERROR", "C": "XX000", "M": text})

    session = WarehouseSession(WAREHOUSE)
    with (
        mock.patch.object(session, "_sign_in"),
        mock.patch.object(WarehouseSession.run.retry, "sleep"),
        pytest.raises((TerminalError, WarehouseBusy)) as ended,
    ):
        session.run(send)
    return len(tries), ended.type


@pytest.mark.parametrize(
    "text",
    ["1023", "ERROR: 1023", "1023\nDETAIL: ...", "Serializable isolation violation on table - 142443, transactions"],
)
def test_a_serialisation_failure_is_tried_again(text: str) -> None:
    assert tries_of(text) == (5, WarehouseBusy)


@pytest.mark.parametrize(
    "text",
    ["S3 says 403 for s3://lake/staging/1023456789abcdef/1/part-00000.parquet", "10234", "line 1023 is too long"],
)
def test_a_number_that_only_looks_like_it_is_not(text: str) -> None:
    assert tries_of(text) == (1, TerminalError)


SPECTRUM_DETAIL = """
  -----------------------------------------------
  error:  Spectrum Scan Error
  code:      15007
  context:   File 's3://work-bucket/staging/1/part-00000.parquet' has an incompatible Parquet schema for column
             'quantity'. Column type: INT
  query:     4711
  location:  dory_util.cpp:1509
  process:   worker_thread [pid=31]
  -----------------------------------------------
"""


def sentence_of(fields: dict[str, str]) -> str:
    with pytest.raises((TerminalError, WarehouseBusy, WarehouseSpent)) as ended, translate_driver_errors():
        raise ProgrammingError(fields)
    return str(ended.value)


def test_an_errors_detail_is_in_the_sentence_without_its_frame() -> None:
    """The message says only that a scan failed. File, column and cause are in the detail."""
    sentence = sentence_of({"S": "ERROR", "C": "XX000", "M": "Spectrum Scan Error", "D": SPECTRUM_DETAIL})
    assert sentence == (
        "the warehouse refused a statement (XX000): Spectrum Scan Error: File "
        "'s3://work-bucket/staging/1/part-00000.parquet' "
        "has an incompatible Parquet schema for column 'quantity'. Column type: INT"
    )


def test_a_detail_without_a_frame_is_shown_unchanged() -> None:
    fields = {"C": "XX000", "M": "S3ServiceException: AccessDenied", "D": "for s3://work-bucket/staging/1/"}
    assert sentence_of(fields).endswith("S3ServiceException: AccessDenied: for s3://work-bucket/staging/1/")


def test_a_usage_limit_that_is_reached_is_waited_out_until_midnight() -> None:
    """Retries within seconds, or three within the hour, would only use up the tries."""
    text = "Query reached the serverless usage limit"
    tries = []

    def send(_: Any) -> None:
        tries.append(1)
        raise ProgrammingError({"C": "XX000", "M": text})

    session = WarehouseSession(WAREHOUSE)
    with mock.patch.object(session, "_sign_in"), pytest.raises(WarehouseSpent, match="until 00:00 UTC") as ended:
        session.run(send)
    assert len(tries) == 1
    error = describe(ended.value)
    assert error.is_transient
    assert error.not_before is not None
    assert error.not_before.endswith("T00:00:00+00:00")
    assert error.not_before > datetime.now(timezone.utc).isoformat()


def test_the_job_reaches_the_warehouse_by_verified_tls() -> None:
    """With IAM the driver refuses a connection without TLS. No setting may weaken the check of the certificate."""
    with mock.patch("redshift_connector.connect") as connect:
        WarehouseSession(WAREHOUSE).run(lambda _: None)
    assert connect.call_args.kwargs["iam"] is True
    assert {"ssl", "ssl_insecure", "sslmode"} & set(connect.call_args.kwargs) == set()


def test_a_silent_connection_is_asked_every_minute_whether_it_lives() -> None:
    with mock.patch("redshift_connector.connect") as connect:
        WarehouseSession(WAREHOUSE).run(lambda _: None)
    asked = {name: value for name, value in connect.call_args.kwargs.items() if name.startswith("tcp_keepalive")}
    assert asked == {
        "tcp_keepalive": True,
        "tcp_keepalive_idle": 60,
        "tcp_keepalive_interval": 30,
        "tcp_keepalive_count": 5,
    }
