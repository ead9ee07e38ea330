"""The warehouse: its namespace starts it, its workgroup gives it a name, and statements set it up."""

from __future__ import annotations

import time

from local.provider.context import Create, Inputs, MotoProvider, Outputs, unique_name

_POLL_SECONDS = 0.02


class StatementFailed(Exception):
    """The warehouse refused a statement of the program."""


def _namespace(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    provider.warehouse.open(inputs["dbName"], inputs["adminUsername"])
    secret = provider.arn("secretsmanager", f"secret:{inputs['namespaceName']}-admin")
    return {
        "id": inputs["namespaceName"],
        "arn": provider.arn("redshift-serverless", f"namespace/{inputs['namespaceName']}"),
        "adminPasswordSecretArn": secret,
    }


def _workgroup(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    warehouse = provider.warehouse.running()
    workgroup = provider.warehouse.add_workgroup(inputs["workgroupName"], inputs["namespaceName"])
    endpoints = [{"address": warehouse.host, "port": warehouse.port}]
    return {"id": workgroup.name, "arn": workgroup.arn, "workgroupId": workgroup.id, "endpoints": endpoints}


def _usage_limit(_: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    """A usage limit without effect, because nothing costs money here."""
    return {"id": unique_name(name), "arn": f"{inputs['resourceArn']}/usagelimit/{name}"}


def _statement(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    """Send a statement to the Data API and wait for its end, as the real provider does."""
    data = provider.client("redshift-data")
    secret = {"SecretArn": inputs["secretArn"]} if inputs.get("secretArn") else {}
    statement_id = data.execute_statement(
        WorkgroupName=inputs["workgroupName"], Database=inputs["database"], Sql=inputs["sql"], **secret
    )["Id"]
    while (description := data.describe_statement(Id=statement_id))["Status"] in ("SUBMITTED", "STARTED"):
        time.sleep(_POLL_SECONDS)
    if description["Status"] != "FINISHED":
        raise StatementFailed(f"{description.get('Error', description['Status'])} in {inputs['sql']!r}")
    return {"id": statement_id}


CREATE: dict[str, Create] = {
    "aws:redshiftdata/statement:Statement": _statement,
    "aws:redshiftserverless/namespace:Namespace": _namespace,
    "aws:redshiftserverless/usageLimit:UsageLimit": _usage_limit,
    "aws:redshiftserverless/workgroup:Workgroup": _workgroup,
}
