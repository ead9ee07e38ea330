"""The Data API and GetCredentials of the local cloud: they answer from the real tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redshift_connector
from botocore.exceptions import ClientError

from local.local_cloud import LocalCloud
from tests.local.local_clouds import started

WORKGROUP = "transactions-pipeline-dev-warehouse"


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with started(tmp_path_factory.mktemp("data_api")) as laptop:
        connection = laptop.connect()
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE shelf (name VARCHAR(20), pieces INTEGER, price DECIMAL(10,2), since TIMESTAMP)")
        cursor.execute("INSERT INTO shelf VALUES ('tea', 3, 4.50, '2023-03-01 06:30:00'), ('salt', 7, NULL, NULL)")
        connection.close()
        yield laptop


def where(laptop: LocalCloud) -> dict[str, str]:
    return {"WorkgroupName": WORKGROUP, "Database": laptop.outputs["database"]}


def ended(laptop: LocalCloud, statement_id: str) -> dict[str, Any]:
    while True:
        found = laptop.client("redshift-data").describe_statement(Id=statement_id)
        if found["Status"] in ("FINISHED", "FAILED", "ABORTED"):
            return dict(found)
        time.sleep(0.02)


def execute(laptop: LocalCloud, sql: str, **named: Any) -> dict[str, Any]:
    started_statement = laptop.client("redshift-data").execute_statement(**where(laptop), Sql=sql, **named)
    return ended(laptop, started_statement["Id"])


def test_a_query_returns_the_rows_of_the_real_table(laptop: LocalCloud) -> None:
    found = execute(laptop, "SELECT name, pieces, price, since FROM shelf ORDER BY pieces")
    assert (found["Status"], found["HasResultSet"], found["ResultRows"]) == ("FINISHED", True, 2)
    result = laptop.client("redshift-data").get_statement_result(Id=found["Id"])
    assert result["Records"] == [
        [{"stringValue": "tea"}, {"longValue": 3}, {"stringValue": "4.50"}, {"stringValue": "2023-03-01 06:30:00"}],
        [{"stringValue": "salt"}, {"longValue": 7}, {"isNull": True}, {"isNull": True}],
    ]
    assert [(column["name"], column["typeName"]) for column in result["ColumnMetadata"]] == [
        ("name", "varchar"),
        ("pieces", "int4"),
        ("price", "numeric"),
        ("since", "timestamp"),
    ]
    assert result["TotalNumRows"] == 2


def test_named_parameters_are_bound(laptop: LocalCloud) -> None:
    named = [{"name": "least", "value": "5"}]
    found = execute(laptop, "SELECT name::varchar FROM shelf WHERE pieces >= :least", Parameters=named)
    result = laptop.client("redshift-data").get_statement_result(Id=found["Id"])
    assert result["Records"] == [[{"stringValue": "salt"}]]


def test_a_long_result_comes_in_pages(laptop: LocalCloud) -> None:
    execute(laptop, "CREATE TABLE numbers (n INTEGER)")
    execute(laptop, "INSERT INTO numbers VALUES " + ", ".join(f"({n})" for n in range(2500)))
    found = execute(laptop, "SELECT n FROM numbers ORDER BY n")
    pages = laptop.client("redshift-data").get_paginator("get_statement_result").paginate(Id=found["Id"])
    assert [row[0]["longValue"] for page in pages for row in page["Records"]] == list(range(2500))


def test_a_refused_statement_fails_in_the_warehouses_words(laptop: LocalCloud) -> None:
    found = execute(laptop, "SELECT * FROM nowhere")
    assert found["Status"] == "FAILED"
    assert found["Error"] == 'ERROR: relation "nowhere" does not exist'
    with pytest.raises(ClientError, match="does not have result"):
        laptop.client("redshift-data").get_statement_result(Id=found["Id"])


def test_a_batch_is_one_transaction(laptop: LocalCloud) -> None:
    data = laptop.client("redshift-data")
    execute(laptop, "CREATE TABLE box (n INTEGER)")
    good = data.batch_execute_statement(
        **where(laptop), Sqls=["INSERT INTO box VALUES (1)", "SELECT n FROM box", "DROP TABLE IF EXISTS none_such"]
    )
    found = ended(laptop, good["Id"])
    assert [part["Status"] for part in found["SubStatements"]] == ["FINISHED"] * 3
    second = found["SubStatements"][1]
    assert second["HasResultSet"] is True
    assert data.get_statement_result(Id=second["Id"])["Records"] == [[{"longValue": 1}]]

    bad = data.batch_execute_statement(
        **where(laptop), Sqls=["INSERT INTO box VALUES (2)", "INSERT INTO nowhere VALUES (1)", "SELECT 1"]
    )
    found = ended(laptop, bad["Id"])
    assert found["Status"] == "FAILED"
    assert [part["Status"] for part in found["SubStatements"]] == ["FINISHED", "FAILED", "ABORTED"]
    rows = execute(laptop, "SELECT count(*) FROM box")
    assert data.get_statement_result(Id=rows["Id"])["Records"] == [[{"longValue": 1}]]


def test_a_request_sent_twice_runs_once(laptop: LocalCloud) -> None:
    execute(laptop, "CREATE TABLE once (n INTEGER)")
    ids = {execute(laptop, "INSERT INTO once VALUES (1)", ClientToken="the-same")["Id"] for _ in range(2)}
    assert len(ids) == 1
    rows = execute(laptop, "SELECT count(*) FROM once")
    records = laptop.client("redshift-data").get_statement_result(Id=rows["Id"])["Records"]
    assert records == [[{"longValue": 1}]]


@pytest.mark.parametrize(
    ("operation", "named", "code"),
    [
        ("describe_statement", {"Id": "11111111-1111-1111-1111-111111111111"}, "ResourceNotFoundException"),
        ("get_statement_result", {"Id": "11111111-1111-1111-1111-111111111111"}, "ResourceNotFoundException"),
        ("execute_statement", {"WorkgroupName": "another", "Database": "d", "Sql": "x"}, "ResourceNotFoundException"),
        ("execute_statement", {"WorkgroupName": WORKGROUP, "Database": "d", "Sql": " "}, "ValidationException"),
        ("list_databases", {"WorkgroupName": WORKGROUP, "Database": "d"}, "ValidationException"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    laptop: LocalCloud, operation: str, named: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(laptop.client("redshift-data"), operation)(**named)
    assert refused.value.response["Error"]["Code"] == code


def test_a_role_without_the_right_may_not_ask(laptop: LocalCloud) -> None:
    role = laptop.client("lambda").get_function_configuration(FunctionName="transactions-pipeline-dev-notify")["Role"]
    credentials = laptop.aws.assume(role, service="lambda.amazonaws.com", session="test")
    with pytest.raises(ClientError, match="not authorized to perform redshift-data:ExecuteStatement"):
        laptop.aws.client_as("redshift-data", credentials).execute_statement(**where(laptop), Sql="SELECT 1")
    laptop.aws.iam.denials.clear()


def test_a_workgroups_arn_ends_in_its_id(laptop: LocalCloud) -> None:
    found = laptop.client("redshift-serverless").get_workgroup(workgroupName=WORKGROUP)["workgroup"]
    assert found["workgroupArn"].rpartition("/")[2] == found["workgroupId"] != WORKGROUP
    assert found["endpoint"]["port"] == laptop.warehouse.running().port


def test_credentials_that_are_given_out_sign_in_as_the_admin(laptop: LocalCloud, monkeypatch: Any) -> None:
    given = laptop.client("redshift-serverless").get_credentials(
        workgroupName=WORKGROUP, dbName=laptop.outputs["database"]
    )
    warehouse = laptop.warehouse.running()
    monkeypatch.setenv("SSL_CERT_FILE", str(warehouse.authority_file))
    how = warehouse.admin_connection(laptop.outputs["database"])
    connection = redshift_connector.connect(**how | {"user": given["dbUser"], "password": given["dbPassword"]})
    cursor = connection.cursor()
    cursor.execute("SELECT current_user, count(*) FROM shelf GROUP BY 1")
    assert list(cursor.fetchone()) == ["warehouse_admin", 2]
    connection.close()
