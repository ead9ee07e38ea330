"""Functions, their roles and their triggers, created in moto's IAM, Lambda and EventBridge."""

from __future__ import annotations

import io
import zipfile

import pulumi

from local.provider.context import Create, Inputs, MotoProvider, Outputs, capital, capitals, tag_list, unique_name


def _role(provider: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    role = inputs.get("name") or unique_name(name)
    made = provider.client("iam").create_role(
        RoleName=role, AssumeRolePolicyDocument=inputs["assumeRolePolicy"], Tags=tag_list(inputs)
    )
    return {"id": role, "name": role, "arn": made["Role"]["Arn"]}


def _role_policy(provider: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    provider.client("iam").put_role_policy(
        RoleName=inputs["role"], PolicyName=inputs.get("name") or unique_name(name), PolicyDocument=inputs["policy"]
    )
    return {}


def _function(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    made = provider.client("lambda").create_function(
        FunctionName=inputs["name"],
        Description=inputs.get("description", ""),
        Role=inputs["role"],
        Runtime=inputs["runtime"],
        Architectures=inputs["architectures"],
        Handler=inputs["handler"],
        Code={"ZipFile": _zipped(inputs["code"])},
        Timeout=inputs["timeout"],
        MemorySize=inputs["memorySize"],
        Environment=capitals(inputs["environment"], values_as_they_are=("variables",)),
        Tags=inputs.get("tags", {}),
    )
    arn = made["FunctionArn"]
    provider.gaps.layers_of_function[arn] = tuple(inputs.get("layers", ()))
    if inputs.get("deadLetterConfig"):
        provider.gaps.dead_letter_of_function[arn] = inputs["deadLetterConfig"]["targetArn"]
    return {"id": inputs["name"], "arn": arn}


def _permission(provider: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    source = {"SourceArn": inputs["sourceArn"]} if inputs.get("sourceArn") else {}
    provider.client("lambda").add_permission(
        FunctionName=inputs["function"],
        StatementId=unique_name(name),
        Action=inputs["action"],
        Principal=inputs["principal"],
        **source,
    )
    return {}


def _event_source_mapping(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    made = provider.client("lambda").create_event_source_mapping(
        EventSourceArn=inputs["eventSourceArn"],
        FunctionName=inputs["functionName"],
        BatchSize=inputs["batchSize"],
        FunctionResponseTypes=inputs.get("functionResponseTypes", []),
        Tags=inputs.get("tags") or {},
    )
    concurrency = inputs.get("scalingConfig", {}).get("maximumConcurrency")
    if concurrency:
        provider.gaps.concurrency_of_mapping[made["UUID"]] = concurrency
    return {"id": made["UUID"]}


def _event_rule(provider: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    rule = inputs.get("name") or unique_name(name)
    names = ("eventPattern", "scheduleExpression", "description")
    made = provider.client("events").put_rule(
        Name=rule,
        State="ENABLED",
        Tags=tag_list(inputs),
        **{capital(word): inputs[word] for word in names if inputs.get(word)},
    )
    return {"id": rule, "name": rule, "arn": made["RuleArn"]}


def _event_target(provider: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    target = {"Id": name, "Arn": inputs["arn"]}
    if inputs.get("deadLetterConfig"):
        target["DeadLetterConfig"] = capitals(inputs["deadLetterConfig"])
    provider.client("events").put_targets(Rule=inputs["rule"], Targets=[target])
    return {}


def _zipped(archive: pulumi.AssetArchive) -> bytes:
    """The zip that Pulumi would upload."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for path, asset in sorted(archive.assets.items()):
            assert isinstance(asset, pulumi.FileAsset)
            target.write(asset.path, path)
    return packed.getvalue()


CREATE: dict[str, Create] = {
    "aws:cloudwatch/eventRule:EventRule": _event_rule,
    "aws:cloudwatch/eventTarget:EventTarget": _event_target,
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:lambda/eventSourceMapping:EventSourceMapping": _event_source_mapping,
    "aws:lambda/function:Function": _function,
    "aws:lambda/permission:Permission": _permission,
}
