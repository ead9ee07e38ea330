"""Glue jobs and their connection, created in moto's Glue."""

from __future__ import annotations

from local.provider.context import Create, Inputs, MotoProvider, Outputs, capitals, unique_name

_SIZES = {"maxCapacity": "MaxCapacity", "workerType": "WorkerType", "numberOfWorkers": "NumberOfWorkers"}
"""A Python Shell job has a capacity, a job on Spark has workers."""


def _glue_connection(provider: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    connection = inputs.get("name") or unique_name(name)
    place = inputs["physicalConnectionRequirements"]
    provider.client("glue").create_connection(
        ConnectionInput={
            "Name": connection,
            "ConnectionType": inputs["connectionType"],
            "ConnectionProperties": {},
            "PhysicalConnectionRequirements": {
                "SubnetId": place["subnetId"],
                "AvailabilityZone": place["availabilityZone"],
                "SecurityGroupIdList": place["securityGroupIdLists"],
            },
        },
        Tags=inputs.get("tags") or {},
    )
    return {"id": connection, "name": connection, "arn": provider.arn("glue", f"connection/{connection}")}


def _glue_job(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    provider.client("glue").create_job(
        Name=inputs["name"],
        Role=inputs["roleArn"],
        Command=capitals(inputs["command"]),
        DefaultArguments=inputs.get("defaultArguments", {}),
        NonOverridableArguments=inputs.get("nonOverridableArguments", {}),
        Connections={"Connections": inputs.get("connections", [])},
        ExecutionProperty=capitals(inputs["executionProperty"]),
        **{capital: inputs[name] for name, capital in _SIZES.items() if name in inputs},
        MaxRetries=inputs["maxRetries"],
        Timeout=inputs["timeout"],
        GlueVersion=inputs["glueVersion"],
        JobRunQueuingEnabled=inputs.get("jobRunQueuingEnabled", False),
        Tags=inputs.get("tags", {}),
    )
    if inputs.get("jobRunQueuingEnabled"):
        provider.gaps.jobs_with_queuing.add(inputs["name"])
    return {"id": inputs["name"], "arn": provider.arn("glue", f"job/{inputs['name']}")}


CREATE: dict[str, Create] = {
    "aws:glue/connection:Connection": _glue_connection,
    "aws:glue/job:Job": _glue_job,
}
