"""The jobs' database users have exactly the rights that a load needs, under the names they sign in with."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
import redshift_connector
from redshift_connector.iam_helper import IamHelper

from schemas.runs import LOAD, RETRACT
from schemas.warehouse import ddl
from tests import oracle
from tests.loads.shop import Shop

pytestmark = pytest.mark.flow


@dataclass
class Staff:
    """A shop whose two jobs sign in by IAM. Each has its own role, and so its own database user."""

    shop: Shop
    iam: Any
    sts: Any
    process: str
    load: str

    def act_as(self, role: str, patch: pytest.MonkeyPatch) -> None:
        """From here on, AWS requests use this role's credentials."""
        arn = self.iam.get_role(RoleName=role)["Role"]["Arn"]
        keys = self.sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        patch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
        patch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])
        # The driver keeps credentials for the whole process. On AWS each job has its own process.
        IamHelper.credentials_cache.clear()

    def sql(self, role: str, statement: str) -> Any:
        """Send a statement as the role's database user."""
        with pytest.MonkeyPatch.context() as patch:
            self.act_as(role, patch)
            connection = redshift_connector.connect(**self.shop.warehouse.iam_connection(self.shop.database))
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def work(self, role: str) -> str | None:
        """Do all the loads of a role, with inserts and updates. Returns the first error."""
        with pytest.MonkeyPatch.context() as patch:
            self.act_as(role, patch)
            for drop, attempt, operation in self._dimensions() if role == self.load else self._transactions():
                self.shop.run(drop, attempt, operation)
                if self.shop.error:
                    return str(self.shop.error)
        return None

    def _dimensions(self) -> Iterator[tuple[oracle.Drop, int, str]]:
        for name, header, row in (
            ("dim_products", "product_id,product_name,category,price,supplier_id", "P0,Widget,,{},"),
            ("dim_customers", "customer_id,first_name,last_name,email,membership_level", "C0,J,D,{},Gold"),
        ):
            self.shop.sql(f"DELETE FROM {name}")
            for value in ("1", "2"):
                content = f"{header}\n{row.format(value)}\n".encode()
                yield self.shop.upload(f"dimensions/{name}.csv", content), 1, LOAD

    def _transactions(self) -> Iterator[tuple[oracle.Drop, int, str]]:
        """One key three times, with a waiting row; the newest upload counts. The last load is taken back."""
        self.shop.clean()
        for quantity in (1, 2, 3):
            lines = f"T1,C0,P0,{quantity},2023-03-1{quantity},pending", "T2,C9,P0,1,2023-03-11,pending"
            # S3's own times have whole seconds, so the newest upload would be random.
            day = self.shop.drop(*lines, uploaded_at=datetime(2023, 3, 16, quantity, tzinfo=UTC))
            yield day, 1, LOAD
        yield day, 2, LOAD
        yield day, 3, RETRACT


@pytest.fixture(scope="module")
def staff(mall: Shop, s3_url: str) -> Iterator[Staff]:
    database = mall.warehouse.fresh_database()
    shop = replace(mall.with_database(database), same_key="replace")
    iam, sts = boto3.client("iam", endpoint_url=s3_url), boto3.client("sts", endpoint_url=s3_url)
    suffix = uuid.uuid4().hex[:8]
    roles = [f"process-{suffix}", f"load-{suffix}"]
    for role in roles:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
    users = [f"IAMR:{role}" for role in roles]
    for statement in ddl.grants(process_transactions_user=users[0], load_dimensions_user=users[1]):
        shop.sql(statement)
    yield Staff(shop, iam, sts, *roles)
    shop.close()
    mall.warehouse.drop_database(database)


def granted(staff: Staff) -> set[tuple[str, str, str]]:
    """(role, privilege, table) of every grant in the statements."""
    actual = set()
    for statement in ddl.grants(process_transactions_user=staff.process, load_dimensions_user=staff.load):
        # SELECT on several columns is one privilege
        grant = re.fullmatch(r'GRANT (.*) ON (.*) TO "(.*)"', statement)
        if grant:
            privileges, tables, role = grant.groups()
            actual |= {
                (role, item, table)
                for item in re.findall(r"\w+(?: \([^)]*\))?", privileges)
                for table in tables.split(", ")
            }
    return actual


def test_both_jobs_can_do_their_work(staff: Staff) -> None:
    assert staff.work(staff.load) is None
    assert staff.work(staff.process) is None
    assert [row["quantity"] for row in staff.shop.fact().values()] == [2]
    staff.shop.assert_books_balance()


def test_the_warehouse_holds_exactly_what_is_granted(staff: Staff) -> None:
    def held(view: str, what: str) -> set[tuple[str, str, str]]:
        rows = staff.shop.sql(
            f"SELECT grantee, {what} AS privilege, table_name FROM information_schema.{view} "
            f"WHERE grantee IN ('IAMR:{staff.process}', 'IAMR:{staff.load}')"
        )
        return {(row["grantee"].removeprefix("IAMR:"), row["privilege"], row["table_name"]) for row in rows}

    tables = {grant for grant in granted(staff) if "(" not in grant[1]}
    assert held("role_table_grants", "privilege_type") == tables
    columns = {
        (role, f"SELECT {column}", table)
        for role, privilege, table in granted(staff) - tables
        for column in re.findall(r"\w+", privilege.removeprefix("SELECT"))
    }
    of_tables = {(role, table) for role, _, table in tables}
    only_columns = held("role_column_grants", "privilege_type || ' ' || column_name")
    assert {grant for grant in only_columns if (grant[0], grant[2]) not in of_tables} == columns


FORBIDDEN = {
    "process": (
        "DROP TABLE fact_transactions",
        "TRUNCATE fact_transactions",
        "ALTER TABLE fact_transactions ADD COLUMN x INTEGER",
        "DELETE FROM load_ledger",
        "UPDATE load_ledger SET inserted = 0",
        "TRUNCATE load_ledger",
        "UPDATE ledger_amounts SET amount = 0",
        "DELETE FROM ledger_amounts",
        "TRUNCATE transaction_history",
        "DROP TABLE load_ledger",
        "INSERT INTO dim_products SELECT * FROM dim_products",
        "UPDATE dim_products SET price = 0",
        "DELETE FROM dim_customers",
        "DROP TABLE dim_customers",
        "SELECT rolpassword FROM pg_authid",
        'CREATE USER "IAMR:accomplice" PASSWORD DISABLE',
        "SELECT email FROM dim_customers",
        "SELECT * FROM dim_customers",
        "CREATE TABLE public.fact_copy AS SELECT transaction_id FROM fact_transactions",
        "CREATE TABLE staged_transactions (transaction_id VARCHAR(64))",
        "CALL sp_create_user_once('IAMR:accomplice')",
        "ALTER TABLE fact_transactions OWNER TO CURRENT_USER",
    ),
    "load": (
        "SELECT 1 FROM fact_transactions",
        "INSERT INTO fact_transactions SELECT * FROM fact_transactions",
        "DELETE FROM fact_transactions",
        "SELECT 1 FROM load_ledger",
        "DELETE FROM load_ledger",
        "DELETE FROM dim_products",
        "SELECT 1 FROM transaction_history",
        "INSERT INTO waiting_rows SELECT * FROM waiting_rows",
        "DELETE FROM waiting_rows",
        "TRUNCATE dim_products",
        "DROP TABLE dim_products",
        "ALTER TABLE dim_customers ADD COLUMN x INTEGER",
        "CREATE TABLE staged_products (product_id VARCHAR(64))",
        "CREATE PROCEDURE getdate() AS $$BEGIN NULL; END;$$ LANGUAGE plpgsql",
    ),
}


@pytest.mark.parametrize(
    ("job", "statement"), [(job, statement) for job, statements in FORBIDDEN.items() for statement in statements]
)
def test_a_job_may_not(staff: Staff, job: str, statement: str) -> None:
    role = staff.process if job == "process" else staff.load
    with pytest.raises(redshift_connector.ProgrammingError) as refused:
        staff.sql(role, statement)
    assert refused.value.args[0]["C"] == "42501"


def test_every_privilege_is_needed(staff: Staff) -> None:
    """The work fails whenever one of them is revoked."""
    assert staff.work(staff.load) is None
    needless = set()
    # Transactions first: they need the dimensions, which the other role's work empties.
    for role, privilege, table in sorted(granted(staff), reverse=True):
        staff.shop.sql(f'REVOKE {privilege} ON {table} FROM "IAMR:{role}"')
        error = staff.work(role)
        staff.shop.sql(f'GRANT {privilege} ON {table} TO "IAMR:{role}"')
        if error is None:
            needless.add((privilege, table))
        else:
            assert f"permission denied for table {table}" in error
    assert needless == set()
