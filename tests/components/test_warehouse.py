"""The warehouse: private, no password anywhere, its tables and rights from the contract."""

from __future__ import annotations

import json

from schemas.warehouse.sql import create_tables, grants
from tests.components.program import Deployed


def test_the_statements_are_the_contracts_and_run_one_after_the_other(deployed: Deployed) -> None:
    statements = deployed.of("Statement")
    prefix = f"IAMR:transactions-pipeline-{deployed.stack}"
    assert [found.inputs["sql"] for found in statements] == [
        *create_tables(),
        *grants(
            process_transactions_user=f"{prefix}-process-transactions",
            load_dimensions_user=f"{prefix}-load-dimensions",
        ),
    ]
    urns = [found.urn for found in statements]
    waits_for = [sorted(set(urns) & found.dependencies) for found in statements]
    assert waits_for == [[], *([urn] for urn in urns[:-1])]


def test_a_database_user_bears_the_name_of_the_role_its_job_has(deployed: Deployed) -> None:
    roles = {found.state["name"] for found in deployed.of("Role") if found.name.startswith("processing-")}
    created = [found.inputs["sql"] for found in deployed.of("Statement") if "IAMR:" in found.inputs["sql"]]
    assert len(roles) == 2
    assert all(any(f'"IAMR:{role}"' in sql for sql in created) for role in roles)
    assert {found.inputs["roleArn"].rsplit("/", 1)[1] for found in deployed.of("Job")} == roles


def test_no_password_is_an_argument_of_anything(deployed: Deployed) -> None:
    everything = json.dumps([dict(found.inputs) for found in deployed.resources], default=str)
    namespace = deployed.one("Namespace", "warehouse").inputs
    assert namespace["manageAdminPassword"] is True
    assert not set(namespace) & {"adminUserPassword", "adminUserPasswordWo"}
    assert "secretsmanager" in everything
    assert {found.inputs["secretArn"] for found in deployed.of("Statement")} == {
        deployed.one("Namespace", "warehouse").state["adminPasswordSecretArn"]
    }


def test_the_workgroup_is_private_and_its_bill_has_a_limit(dev: Deployed) -> None:
    workgroup = dev.one("Workgroup", "warehouse").inputs
    assert {key: value for key, value in workgroup.items() if key != "tags"} == {
        "namespaceName": "transactions-pipeline-dev-warehouse",
        "workgroupName": "transactions-pipeline-dev-warehouse",
        "baseCapacity": 4,
        "subnetIds": [f"network-eu-west-1{zone}-id" for zone in "abc"],
        "securityGroupIds": ["network-warehouse-id"],
        "port": 5439,
        "publiclyAccessible": False,
    }
    assert dev.one("UsageLimit", "warehouse").inputs == {
        "resourceArn": dev.one("Workgroup", "warehouse").state["arn"],
        "usageType": "serverless-compute",
        "amount": 8,
        "period": "daily",
        "breachAction": "deactivate",
    }
