"""The local cloud's Data API and GetCredentials respond from the real tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redshift_connector
from botocore.exceptions import ClientError

from local.local_cloud import LocalCloud
from tests.local.local_clouds import started

pytestmark = pytest.mark.flow

WORKGROUP = "transactions-pipeline-dev-warehouse"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with started(tmp_path_factory.mktemp("data_api")) as cloud:
        connection = cloud.connect()
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE shelf (name VARCHAR(20), pieces INTEGER, price DECIMAL(10,2), since TIMESTAMP)")
        cursor.execute("INSERT INTO shelf VALUES ('tea', 3, 4.50, '2023-03-01 06:30:00'), ('salt', 7, NULL, NULL)")
        connection.close()
        yield cloud


def where(cloud: LocalCloud) -> dict[str, str]:
    return {"WorkgroupName": WORKGROUP, "Database": cloud.outputs["database"]}


def ended(cloud: LocalCloud, statement_id: str) -> dict[str, Any]:
    while True:
        response = cloud.client("redshift-data").describe_statement(Id=statement_id)
        if response["Status"] in ("FINISHED", "FAILED", "ABORTED"):
            return dict(response)
        time.sleep(0.02)


def execute(cloud: LocalCloud, sql: str, **named: Any) -> dict[str, Any]:
    started_statement = cloud.client("redshift-data").execute_statement(**where(cloud), Sql=sql, **named)
    return ended(cloud, started_statement["Id"])


def test_a_query_returns_the_rows_of_the_real_table(cloud: LocalCloud) -> None:
    statement = execute(cloud, "SELECT name, pieces, price, since FROM shelf ORDER BY pieces")
    assert (statement["Status"], statement["HasResultSet"], statement["ResultRows"]) == ("FINISHED", True, 2)
    result = cloud.client("redshift-data").get_statement_result(Id=statement["Id"])
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


def test_named_parameters_are_bound(cloud: LocalCloud) -> None:
    named = [{"name": "least", "value": "5"}]
    statement = execute(cloud, "SELECT name::varchar FROM shelf WHERE pieces >= :least", Parameters=named)
    result = cloud.client("redshift-data").get_statement_result(Id=statement["Id"])
    assert result["Records"] == [[{"stringValue": "salt"}]]


def test_a_long_result_comes_in_pages(cloud: LocalCloud) -> None:
    execute(cloud, "CREATE TABLE numbers (n INTEGER)")
    execute(cloud, "INSERT INTO numbers VALUES " + ", ".join(f"({n})" for n in range(2500)))
    result = execute(cloud, "SELECT n FROM numbers ORDER BY n")
    pages = cloud.client("redshift-data").get_paginator("get_statement_result").paginate(Id=result["Id"])
    assert [row[0]["longValue"] for page in pages for row in page["Records"]] == list(range(2500))


def test_a_cancelled_statement_is_aborted_and_its_session_ends(cloud: LocalCloud) -> None:
    execute(cloud, "CREATE TABLE held (n INTEGER)")
    api = cloud.client("redshift-data")
    blocker = cloud.connect()
    blocker.autocommit = False
    blocker.cursor().execute("LOCK held")
    waiting = api.execute_statement(**where(cloud), Sql="INSERT INTO held VALUES (1)")["Id"]
    while api.describe_statement(Id=waiting)["Status"] == "SUBMITTED":
        time.sleep(0.02)
    assert api.cancel_statement(Id=waiting)["Status"] is True
    assert ended(cloud, waiting)["Status"] == "ABORTED"
    with pytest.raises(ClientError, match="Could not cancel a query that is already in ABORTED state"):
        api.cancel_statement(Id=waiting)
    blocker.close()
    counted = execute(cloud, "SELECT COUNT(*) FROM held")
    assert api.get_statement_result(Id=counted["Id"])["Records"] == [[{"longValue": 0}]]


def test_a_refused_statement_fails_in_the_warehouses_words(cloud: LocalCloud) -> None:
    result = execute(cloud, "SELECT * FROM nowhere")
    assert result["Status"] == "FAILED"
    assert result["Error"] == 'ERROR: relation "nowhere" does not exist'
    with pytest.raises(ClientError, match="does not have result"):
        cloud.client("redshift-data").get_statement_result(Id=result["Id"])


def test_a_batch_is_one_transaction(cloud: LocalCloud) -> None:
    data = cloud.client("redshift-data")
    execute(cloud, "CREATE TABLE box (n INTEGER)")
    good = data.batch_execute_statement(
        **where(cloud), Sqls=["INSERT INTO box VALUES (1)", "SELECT n FROM box", "DROP TABLE IF EXISTS none_such"]
    )
    result = ended(cloud, good["Id"])
    assert [part["Status"] for part in result["SubStatements"]] == ["FINISHED"] * 3
    second = result["SubStatements"][1]
    assert second["HasResultSet"] is True
    assert data.get_statement_result(Id=second["Id"])["Records"] == [[{"longValue": 1}]]

    bad = data.batch_execute_statement(
        **where(cloud), Sqls=["INSERT INTO box VALUES (2)", "INSERT INTO nowhere VALUES (1)", "SELECT 1"]
    )
    result = ended(cloud, bad["Id"])
    assert result["Status"] == "FAILED"
    assert [part["Status"] for part in result["SubStatements"]] == ["FINISHED", "FAILED", "ABORTED"]
    rows = execute(cloud, "SELECT count(*) FROM box")
    assert data.get_statement_result(Id=rows["Id"])["Records"] == [[{"longValue": 1}]]


def test_a_request_sent_twice_runs_once(cloud: LocalCloud) -> None:
    execute(cloud, "CREATE TABLE once (n INTEGER)")
    ids = {execute(cloud, "INSERT INTO once VALUES (1)", ClientToken="the-same")["Id"] for _ in range(2)}
    assert len(ids) == 1
    rows = execute(cloud, "SELECT count(*) FROM once")
    records = cloud.client("redshift-data").get_statement_result(Id=rows["Id"])["Records"]
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
    cloud: LocalCloud, operation: str, named: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(cloud.client("redshift-data"), operation)(**named)
    assert refused.value.response["Error"]["Code"] == code


def test_a_role_without_the_right_may_not_ask(cloud: LocalCloud) -> None:
    role = cloud.client("lambda").get_function_configuration(FunctionName="transactions-pipeline-dev-notify")["Role"]
    credentials = cloud.aws.assume(role, service="lambda.amazonaws.com", session="test")
    with pytest.raises(ClientError, match="not authorized to perform redshift-data:ExecuteStatement"):
        cloud.aws.client_as("redshift-data", credentials).execute_statement(**where(cloud), Sql="SELECT 1")
    cloud.aws.iam.denials.clear()


def test_a_workgroups_arn_ends_in_its_id(cloud: LocalCloud) -> None:
    response = cloud.client("redshift-serverless").get_workgroup(workgroupName=WORKGROUP)["workgroup"]
    assert response["workgroupArn"].rpartition("/")[2] == response["workgroupId"] != WORKGROUP
    assert response["endpoint"]["port"] == cloud.warehouse.running().port


def test_credentials_that_are_given_out_sign_in_as_the_admin(cloud: LocalCloud, monkeypatch: Any) -> None:
    given = cloud.client("redshift-serverless").get_credentials(
        workgroupName=WORKGROUP, dbName=cloud.outputs["database"]
    )
    warehouse = cloud.warehouse.running()
    monkeypatch.setenv("SSL_CERT_FILE", str(warehouse.authority_file))
    how = warehouse.admin_connection(cloud.outputs["database"])
    connection = redshift_connector.connect(**how | {"user": given["dbUser"], "password": given["dbPassword"]})
    cursor = connection.cursor()
    cursor.execute("SELECT current_user, count(*) FROM shelf GROUP BY 1")
    assert list(cursor.fetchone()) == ["warehouse_admin", 2]
    connection.close()
