"""The warehouse: private, no password anywhere, its tables and rights from the contract."""

from __future__ import annotations

import json
from pathlib import Path

from components.warehouse import statement_name
from schemas.runs import LOAD_DIMENSIONS, PROCESS_TRANSACTIONS
from schemas.warehouse.ddl import create_tables, deployment_steps, grants
from tests.components.program import Deployed, Resource, deploy


def _steps(deployed: Deployed) -> list[list[str]]:
    users = {
        job: f"IAMR:transactions-pipeline-{deployed.stack}-{word}-eu-west-1"
        for job, word in ((PROCESS_TRANSACTIONS, "transactions"), (LOAD_DIMENSIONS, "dimensions"))
    }
    return deployment_steps(**{f"{job}_user": user for job, user in users.items()})


def test_each_statement_waits_for_all_of_the_step_before(deployed: Deployed) -> None:
    by_text = {resource.inputs["sql"]: resource for resource in deployed.of("Statement")}
    steps = _steps(deployed)
    assert sorted(by_text) == sorted(sql for step in steps for sql in step)
    urns = {resource.urn for resource in by_text.values()}
    before: set[str] = set()
    for step in steps:
        assert [by_text[sql].dependencies & urns for sql in step] == [before] * len(step)
        before = {by_text[sql].urn for sql in step}


def test_tables_come_before_users_and_users_before_rights() -> None:
    steps = deployment_steps(process_transactions_user="p", load_dimensions_user="l")
    step_of = {sql: number for number, step in enumerate(steps) for sql in step}
    assert set(step_of) == {*create_tables(), *grants(process_transactions_user="p", load_dimensions_user="l")}
    assert {step_of[sql] for sql in create_tables() if sql.startswith("CREATE")} == {0}
    renumberings = {sql for sql in create_tables() if sql.startswith("UPDATE")}
    assert {step_of[sql] for sql in create_tables() if not sql.startswith("CREATE")} - {1} == {2}
    assert {step_of[sql] for sql in renumberings} == {2}, "the history is filled before its ranks change"
    (procedure,) = (sql for sql in step_of if "PROCEDURE sp_create_user" in sql)
    calls = [sql for sql in step_of if sql.startswith("CALL sp_create_user")]
    granted = [sql for sql in step_of if sql.startswith("GRANT")]
    assert len(calls) == 2
    assert all(step_of[procedure] < step_of[call] < step_of[grant] for call in calls for grant in granted)
    # Half a minute each, however short the statement is.
    assert len(steps) <= 5


def test_no_two_statements_of_a_step_change_the_rights_on_one_table() -> None:
    """Redshift refuses one of two changes of an object that are made at the same time."""
    for step in deployment_steps(process_transactions_user="p", load_dimensions_user="l"):
        tables = [
            table
            for sql in step
            if sql.startswith("GRANT")
            for table in sql.partition(" ON ")[2].partition(" TO ")[0].split(", ")
        ]
        assert len(tables) == len(set(tables))


def test_a_statement_runs_again_when_its_text_changes_and_only_then(dev: Deployed, wheel_directory: Path) -> None:
    again = deploy("dev", wheel_directory, jobTimeoutMinutes="30")
    assert {resource.urn for resource in again.of("Statement")} == {resource.urn for resource in dev.of("Statement")}
    first, second = "CREATE TABLE IF NOT EXISTS t (a BIGINT)", "CREATE TABLE IF NOT EXISTS t (a BIGINT, b BIGINT)"
    assert statement_name(first) != statement_name(second)
    assert statement_name(first).startswith("create-table-if-not-exists-t-")


def test_another_database_replaces_the_warehouse_old_one_first(dev: Deployed, prod: Deployed) -> None:
    """Both names stay what they are, so what is replaced must go first; kept data is not replaced at all."""

    def of(stack: Deployed) -> list[Resource]:
        return [stack.only("Namespace", "warehouse"), stack.only("Workgroup", "warehouse")]

    assert [resource.delete_before_replace for resource in of(dev)] == [True, True]
    # Pulumi replaces the workgroup with the namespace it depends on.
    namespace, workgroup = of(dev)
    assert namespace.urn in workgroup.dependencies
    assert of(prod)[0].protect


def test_a_database_user_has_the_name_of_the_role_its_job_has(deployed: Deployed) -> None:
    roles = {resource.state["name"] for resource in deployed.of("Role") if resource.name.startswith("processing-")}
    created = [resource.inputs["sql"] for resource in deployed.of("Statement") if "IAMR:" in resource.inputs["sql"]]
    assert len(roles) == 2
    assert all(any(f'"IAMR:{role}"' in sql for sql in created) for role in roles)
    assert {resource.inputs["roleArn"].rsplit("/", 1)[1] for resource in deployed.of("Job")} == roles


def test_no_password_is_an_argument_of_anything(deployed: Deployed) -> None:
    everything = json.dumps([dict(resource.inputs) for resource in deployed.resources], default=str)
    namespace = deployed.only("Namespace", "warehouse").inputs
    assert namespace["manageAdminPassword"] is True
    assert not set(namespace) & {"adminUserPassword", "adminUserPasswordWo"}
    assert "secretsmanager" in everything
    assert {resource.inputs["secretArn"] for resource in deployed.of("Statement")} == {
        deployed.only("Namespace", "warehouse").state["adminPasswordSecretArn"]
    }


def test_the_workgroup_is_private_and_its_bill_has_a_limit(dev: Deployed) -> None:
    workgroup = dev.only("Workgroup", "warehouse").inputs
    assert {key: value for key, value in workgroup.items() if key != "tags"} == {
        "namespaceName": "transactions-pipeline-dev-warehouse",
        "workgroupName": "transactions-pipeline-dev-warehouse",
        "baseCapacity": 4,
        "subnetIds": [f"network-eu-west-1{zone}-id" for zone in "abc"],
        "securityGroupIds": ["network-warehouse-id"],
        "port": 5439,
        "publiclyAccessible": False,
    }
    assert dev.only("UsageLimit", "warehouse").inputs == {
        "resourceArn": dev.only("Workgroup", "warehouse").state["arn"],
        "usageType": "serverless-compute",
        "amount": 8,
        "period": "daily",
        "breachAction": "deactivate",
    }


def test_a_maximum_of_capacity_is_redshifts(wheel_directory: Path) -> None:
    limited = deploy("dev", wheel_directory, warehouseMaxCapacity="32")
    assert limited.only("Workgroup", "warehouse").inputs["maxCapacity"] == 32


def test_what_is_kept_keeps_nothing_of_the_network(prod: Deployed) -> None:
    """`pulumi destroy --exclude-protected` leaves protected resources and those they depend on."""
    by_urn = {resource.urn: resource for resource in prod.resources}
    kept = {resource.urn for resource in prod.resources if resource.protect}
    grown = True
    while grown:
        needed = {urn for item in kept for urn in by_urn[item].dependencies} & set(by_urn)
        grown = not needed <= kept
        kept |= needed
    assert {by_urn[urn].name for urn in kept} == {
        "storage-drop",
        "storage-work",
        "storage-archive",
        "warehouse",
        "warehouse-copy",
    }


def test_another_network_replaces_the_workgroup_and_keeps_the_data(deployed: Deployed, wheel_directory: Path) -> None:
    """AWS takes groups and subnets in two requests, and a workgroup in one VPC takes neither of another."""
    namespace, workgroup = deployed.only("Namespace", "warehouse"), deployed.only("Workgroup", "warehouse")
    assert workgroup.replace_on_changes == ("securityGroupIds",)
    assert workgroup.delete_before_replace
    # The groups go with the VPC, and with nothing else.
    groups = [
        group for group in deployed.of("SecurityGroup") if f"{group.name}-id" in workgroup.inputs["securityGroupIds"]
    ]
    assert [set(group.inputs) - {"description", "tags"} for group in groups] == [{"vpcId"}]
    elsewhere = deploy(deployed.stack, wheel_directory, vpcCidr="10.80.0.0/16")
    assert elsewhere.only("Namespace", "warehouse").inputs == namespace.inputs
    assert (namespace.replace_on_changes, namespace.dependencies & {workgroup.urn}) == ((), set())
