"""Which of the driver's errors is worth another try."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from redshift_connector.error import ProgrammingError

from jobs.arguments import Warehouse
from jobs.errors import TerminalError, WarehouseBusy
from jobs.load.protocol import WarehouseSession

WAREHOUSE = Warehouse(
    workgroup="shop",
    host="localhost",
    port=5439,
    database="dev",
    account_id="123456789012",
    region="us-east-1",
    copy_role_arn="arn:aws:iam::123456789012:role/copy",
)


def tries_of(text: str) -> tuple[int, type[BaseException]]:
    """How often a statement is sent that ends in this XX000, and what it ends as."""
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
