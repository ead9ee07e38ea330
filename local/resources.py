"""Every type of resource the program declares, created in moto: one small function each.

A function takes the stage (what it creates things with), the resource's Pulumi name and its
inputs in Pulumi's camel case, and returns the outputs AWS would add. A type that stands in
no table is refused by name.
"""

from __future__ import annotations

import io
import secrets
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pulumi

from local.aws import Aws
from local.program_warehouse import ProgramWarehouse

Inputs = Mapping[str, Any]
Outputs = dict[str, Any]


@dataclass
class Forgotten:
    """What the program declares and moto does not keep; the player asks here for it."""

    dead_letter_of_function: dict[str, str] = field(default_factory=dict)
    """Function's ARN -> the queue of its failed asynchronous events."""
    layers_of_function: dict[str, tuple[str, ...]] = field(default_factory=dict)
    concurrency_of_mapping: dict[str, int] = field(default_factory=dict)
    """Event source mapping's id -> how many batches may be handled at once."""


@dataclass
class Stage:
    """What resources are created with."""

    aws: Aws
    warehouse: ProgramWarehouse
    forgotten: Forgotten = field(default_factory=Forgotten)

    def client(self, service: str) -> Any:
        return self.aws.client(service)

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.aws.region}:{self.aws.account}:{resource}"


Create = Callable[[Stage, str, Inputs], Outputs]


class UnknownResource(Exception):
    """The program declares something that nobody taught the laptop to create."""


def create(stage: Stage, type_: str, name: str, inputs: Inputs) -> tuple[str, Outputs]:
    """Create one resource; its id and its outputs, the inputs included."""
    if type_ not in CREATE:
        raise UnknownResource(
            f"the program declares {name!r} of type {type_}, which the laptop cannot create; teach local/resources.py"
        )
    outputs = {**inputs, **CREATE[type_](stage, name, _whole(inputs))}
    return str(outputs.get("id") or f"{name}-id"), outputs


def _bucket(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    bucket = inputs.get("bucket") or _unique(name)
    stage.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": stage.aws.region})
    return {"id": bucket, "bucket": bucket, "arn": f"arn:aws:s3:::{bucket}"}


def _bucket_versioning(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    stage.client("s3").put_bucket_versioning(
        Bucket=inputs["bucket"], VersioningConfiguration=_capitals(inputs["versioningConfiguration"])
    )
    return {}


def _bucket_encryption(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    rules = [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": default["sseAlgorithm"]}}
        for default in (rule["applyServerSideEncryptionByDefault"] for rule in inputs["rules"])
    ]
    stage.client("s3").put_bucket_encryption(
        Bucket=inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}
    )
    return {}


def _bucket_public_access(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    names = ("blockPublicAcls", "ignorePublicAcls", "blockPublicPolicy", "restrictPublicBuckets")
    stage.client("s3").put_public_access_block(
        Bucket=inputs["bucket"],
        PublicAccessBlockConfiguration={_capital(name): inputs.get(name, False) for name in names},
    )
    return {}


def _bucket_policy(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    stage.client("s3").put_bucket_policy(Bucket=inputs["bucket"], Policy=inputs["policy"])
    return {}


def _bucket_lifecycle(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    rules = [{"ID": rule["id"], **_capitals({k: v for k, v in rule.items() if k != "id"})} for rule in inputs["rules"]]
    stage.client("s3").put_bucket_lifecycle_configuration(
        Bucket=inputs["bucket"], LifecycleConfiguration={"Rules": rules}
    )
    return {}


def _bucket_notification(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    unknown = set(inputs) - {"bucket", "queues"}
    if unknown:
        raise UnknownResource(f"the laptop's buckets notify queues only, not {', '.join(sorted(unknown))}")
    queues = []
    for queue in inputs["queues"]:
        rules = [
            {"Name": word, "Value": queue[f"filter{_capital(word)}"]}
            for word in ("prefix", "suffix")
            if queue.get(f"filter{_capital(word)}")
        ]
        filtered = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
        queues.append({"Id": queue["id"], "QueueArn": queue["queueArn"], "Events": queue["events"], **filtered})
    stage.client("s3").put_bucket_notification_configuration(
        Bucket=inputs["bucket"], NotificationConfiguration={"QueueConfigurations": queues}
    )
    return {}


def _bucket_object(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    body = Path(inputs["source"].path).read_bytes()
    headers = {"ContentType": inputs["contentType"]} if inputs.get("contentType") else {}
    if inputs.get("tags"):
        headers["Tagging"] = urlencode(inputs["tags"])
    stage.client("s3").put_object(Bucket=inputs["bucket"], Key=inputs["key"], Body=body, **headers)
    return {"id": inputs["key"], "arn": f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}"}


def _vpc(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    ec2 = stage.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=inputs["cidrBlock"])["Vpc"]["VpcId"]
    for switch in ("enableDnsSupport", "enableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{_capital(switch): {"Value": inputs.get(switch, False)}})
    return {"id": vpc, "arn": stage.arn("ec2", f"vpc/{vpc}")}


def _subnet(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    made = stage.client("ec2").create_subnet(
        VpcId=inputs["vpcId"], CidrBlock=inputs["cidrBlock"], AvailabilityZone=inputs["availabilityZone"]
    )
    subnet = made["Subnet"]["SubnetId"]
    return {"id": subnet, "arn": stage.arn("ec2", f"subnet/{subnet}")}


def _route_table(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    made = stage.client("ec2").create_route_table(VpcId=inputs["vpcId"])
    return {"id": made["RouteTable"]["RouteTableId"]}


def _route_table_association(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    made = stage.client("ec2").associate_route_table(RouteTableId=inputs["routeTableId"], SubnetId=inputs["subnetId"])
    return {"id": made["AssociationId"]}


def _security_group(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    made = stage.client("ec2").create_security_group(
        GroupName=_unique(name), Description=inputs["description"], VpcId=inputs["vpcId"]
    )
    group = made["GroupId"]
    return {"id": group, "arn": stage.arn("ec2", f"security-group/{group}")}


def _security_group_rule(stage: Stage, inputs: Inputs, authorize: str) -> Outputs:
    permission: dict[str, Any] = {
        "IpProtocol": inputs["ipProtocol"],
        "FromPort": inputs["fromPort"],
        "ToPort": inputs["toPort"],
    }
    if inputs.get("referencedSecurityGroupId"):
        permission["UserIdGroupPairs"] = [{"GroupId": inputs["referencedSecurityGroupId"]}]
    if inputs.get("prefixListId"):
        permission["PrefixListIds"] = [{"PrefixListId": inputs["prefixListId"]}]
    made = getattr(stage.client("ec2"), authorize)(GroupId=inputs["securityGroupId"], IpPermissions=[permission])
    return {"id": made["SecurityGroupRules"][0]["SecurityGroupRuleId"]}


def _ingress_rule(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    return _security_group_rule(stage, inputs, "authorize_security_group_ingress")


def _egress_rule(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    return _security_group_rule(stage, inputs, "authorize_security_group_egress")


def _vpc_endpoint(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    ec2 = stage.client("ec2")
    names = ("vpcId", "serviceName", "vpcEndpointType", "routeTableIds", "subnetIds", "securityGroupIds")
    made = ec2.create_vpc_endpoint(**{_capital(name): inputs[name] for name in names if inputs.get(name)})
    lists = ec2.describe_managed_prefix_lists()["PrefixLists"]
    found = [entry["PrefixListId"] for entry in lists if entry["PrefixListName"] == inputs["serviceName"]]
    return {"id": made["VpcEndpoint"]["VpcEndpointId"], "prefixListId": found[0] if found else None}


def _queue(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    queue = inputs.get("name") or _unique(name)
    attributes = {
        "MessageRetentionPeriod": inputs.get("messageRetentionSeconds"),
        "VisibilityTimeout": inputs.get("visibilityTimeoutSeconds"),
        "RedrivePolicy": inputs.get("redrivePolicy"),
        "SqsManagedSseEnabled": inputs.get("sqsManagedSseEnabled"),
    }
    given = {key: str(value) for key, value in attributes.items() if value is not None}
    url = stage.client("sqs").create_queue(QueueName=queue, Attributes=given)["QueueUrl"]
    return {"id": url, "url": url, "name": queue, "arn": stage.arn("sqs", queue)}


def _queue_policy(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    stage.client("sqs").set_queue_attributes(QueueUrl=inputs["queueUrl"], Attributes={"Policy": inputs["policy"]})
    return {}


def _topic(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    topic = inputs.get("name") or _unique(name)
    attributes = {"DisplayName": inputs["displayName"]} if inputs.get("displayName") else {}
    arn = stage.client("sns").create_topic(Name=topic, Attributes=attributes)["TopicArn"]
    return {"id": arn, "arn": arn, "name": topic}


def _topic_policy(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    stage.client("sns").set_topic_attributes(
        TopicArn=inputs["arn"], AttributeName="Policy", AttributeValue=inputs["policy"]
    )
    return {}


def _topic_subscription(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    made = stage.client("sns").subscribe(
        TopicArn=inputs["topic"],
        Protocol=inputs["protocol"],
        Endpoint=inputs["endpoint"],
        ReturnSubscriptionArn=True,
    )
    return {"id": made["SubscriptionArn"], "arn": made["SubscriptionArn"]}


def _role(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    role = inputs.get("name") or _unique(name)
    made = stage.client("iam").create_role(RoleName=role, AssumeRolePolicyDocument=inputs["assumeRolePolicy"])
    return {"id": role, "name": role, "arn": made["Role"]["Arn"]}


def _role_policy(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    stage.client("iam").put_role_policy(
        RoleName=inputs["role"], PolicyName=inputs.get("name") or name, PolicyDocument=inputs["policy"]
    )
    return {}


def _function(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    made = stage.client("lambda").create_function(
        FunctionName=inputs["name"],
        Description=inputs.get("description", ""),
        Role=inputs["role"],
        Runtime=inputs["runtime"],
        Architectures=inputs["architectures"],
        Handler=inputs["handler"],
        Code={"ZipFile": _zipped(inputs["code"])},
        Timeout=inputs["timeout"],
        MemorySize=inputs["memorySize"],
        Environment=_capitals(inputs["environment"], values_as_they_are=("variables",)),
        Tags=inputs.get("tags", {}),
    )
    arn = made["FunctionArn"]
    stage.forgotten.layers_of_function[arn] = tuple(inputs.get("layers", ()))
    if inputs.get("deadLetterConfig"):
        stage.forgotten.dead_letter_of_function[arn] = inputs["deadLetterConfig"]["targetArn"]
    return {"id": inputs["name"], "arn": arn}


def _permission(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    source = {"SourceArn": inputs["sourceArn"]} if inputs.get("sourceArn") else {}
    stage.client("lambda").add_permission(
        FunctionName=inputs["function"],
        StatementId=_unique(name),
        Action=inputs["action"],
        Principal=inputs["principal"],
        **source,
    )
    return {}


def _event_source_mapping(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    made = stage.client("lambda").create_event_source_mapping(
        EventSourceArn=inputs["eventSourceArn"],
        FunctionName=inputs["functionName"],
        BatchSize=inputs["batchSize"],
        FunctionResponseTypes=inputs.get("functionResponseTypes", []),
    )
    concurrency = inputs.get("scalingConfig", {}).get("maximumConcurrency")
    if concurrency:
        stage.forgotten.concurrency_of_mapping[made["UUID"]] = concurrency
    return {"id": made["UUID"]}


def _event_rule(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    rule = inputs.get("name") or _unique(name)
    names = ("eventPattern", "scheduleExpression", "description")
    made = stage.client("events").put_rule(
        Name=rule, State="ENABLED", **{_capital(word): inputs[word] for word in names if inputs.get(word)}
    )
    return {"id": rule, "name": rule, "arn": made["RuleArn"]}


def _event_target(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    target = {"Id": name, "Arn": inputs["arn"]}
    if inputs.get("deadLetterConfig"):
        target["DeadLetterConfig"] = _capitals(inputs["deadLetterConfig"])
    stage.client("events").put_targets(Rule=inputs["rule"], Targets=[target])
    return {}


def _log_group(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    logs = stage.client("logs")
    logs.create_log_group(logGroupName=inputs["name"])
    logs.put_retention_policy(logGroupName=inputs["name"], retentionInDays=inputs["retentionInDays"])
    return {"id": inputs["name"], "arn": stage.arn("logs", f"log-group:{inputs['name']}")}


_ALARM = (
    *("alarmDescription", "metricName", "namespace", "statistic", "period", "evaluationPeriods"),
    *("threshold", "comparisonOperator", "treatMissingData", "alarmActions"),
)


def _metric_alarm(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    dimensions = [{"Name": name, "Value": value} for name, value in inputs["dimensions"].items()]
    stage.client("cloudwatch").put_metric_alarm(
        AlarmName=inputs["name"],
        Dimensions=dimensions,
        OKActions=inputs.get("okActions", []),
        **{_capital(name): inputs[name] for name in _ALARM},
    )
    return {"id": inputs["name"], "arn": stage.arn("cloudwatch", f"alarm:{inputs['name']}")}


def _dashboard(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    stage.client("cloudwatch").put_dashboard(
        DashboardName=inputs["dashboardName"], DashboardBody=inputs["dashboardBody"]
    )
    return {"id": inputs["dashboardName"]}


def _glue_connection(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    connection = inputs.get("name") or _unique(name)
    place = inputs["physicalConnectionRequirements"]
    stage.client("glue").create_connection(
        ConnectionInput={
            "Name": connection,
            "ConnectionType": inputs["connectionType"],
            "ConnectionProperties": {},
            "PhysicalConnectionRequirements": {
                "SubnetId": place["subnetId"],
                "AvailabilityZone": place["availabilityZone"],
                "SecurityGroupIdList": place["securityGroupIdLists"],
            },
        }
    )
    return {"id": connection, "name": connection, "arn": stage.arn("glue", f"connection/{connection}")}


def _glue_job(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    stage.client("glue").create_job(
        Name=inputs["name"],
        Role=inputs["roleArn"],
        Command=_capitals(inputs["command"]),
        DefaultArguments=inputs.get("defaultArguments", {}),
        NonOverridableArguments=inputs.get("nonOverridableArguments", {}),
        Connections={"Connections": inputs.get("connections", [])},
        ExecutionProperty=_capitals(inputs["executionProperty"]),
        MaxCapacity=inputs["maxCapacity"],
        MaxRetries=inputs["maxRetries"],
        Timeout=inputs["timeout"],
        GlueVersion=inputs["glueVersion"],
        Tags=inputs.get("tags", {}),
    )
    return {"id": inputs["name"], "arn": stage.arn("glue", f"job/{inputs['name']}")}


def _namespace(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    stage.warehouse.open(inputs["dbName"], inputs["adminUsername"])
    secret = stage.arn("secretsmanager", f"secret:{inputs['namespaceName']}-admin")
    return {
        "id": inputs["namespaceName"],
        "arn": stage.arn("redshift-serverless", f"namespace/{inputs['namespaceName']}"),
        "adminPasswordSecretArn": secret,
    }


def _workgroup(stage: Stage, _: str, inputs: Inputs) -> Outputs:
    warehouse = stage.warehouse.running()
    name = inputs["workgroupName"]
    arn = stage.arn("redshift-serverless", f"workgroup/{name}")
    stage.warehouse.workgroup_arns.append(arn)
    return {"id": name, "arn": arn, "endpoints": [{"address": warehouse.host, "port": warehouse.port}]}


def _usage_limit(_: Stage, name: str, inputs: Inputs) -> Outputs:
    """Nothing is paid for here, so nothing is limited."""
    return {"id": _unique(name), "arn": f"{inputs['resourceArn']}/usagelimit/{name}"}


def _statement(stage: Stage, name: str, inputs: Inputs) -> Outputs:
    stage.warehouse.run(inputs["database"], inputs["sql"])
    return {"id": name}


CREATE: dict[str, Create] = {
    "aws:cloudwatch/dashboard:Dashboard": _dashboard,
    "aws:cloudwatch/eventRule:EventRule": _event_rule,
    "aws:cloudwatch/eventTarget:EventTarget": _event_target,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _metric_alarm,
    "aws:ec2/routeTable:RouteTable": _route_table,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _route_table_association,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:ec2/subnet:Subnet": _subnet,
    "aws:ec2/vpc:Vpc": _vpc,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _vpc_endpoint,
    "aws:glue/connection:Connection": _glue_connection,
    "aws:glue/job:Job": _glue_job,
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:lambda/eventSourceMapping:EventSourceMapping": _event_source_mapping,
    "aws:lambda/function:Function": _function,
    "aws:lambda/permission:Permission": _permission,
    "aws:redshiftdata/statement:Statement": _statement,
    "aws:redshiftserverless/namespace:Namespace": _namespace,
    "aws:redshiftserverless/usageLimit:UsageLimit": _usage_limit,
    "aws:redshiftserverless/workgroup:Workgroup": _workgroup,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _bucket_lifecycle,
    "aws:s3/bucketNotification:BucketNotification": _bucket_notification,
    "aws:s3/bucketObjectv2:BucketObjectv2": _bucket_object,
    "aws:s3/bucketPolicy:BucketPolicy": _bucket_policy,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _bucket_public_access,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _bucket_encryption,
    "aws:s3/bucketVersioning:BucketVersioning": _bucket_versioning,
    "aws:sns/topic:Topic": _topic,
    "aws:sns/topicPolicy:TopicPolicy": _topic_policy,
    "aws:sns/topicSubscription:TopicSubscription": _topic_subscription,
    "aws:sqs/queue:Queue": _queue,
    "aws:sqs/queuePolicy:QueuePolicy": _queue_policy,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _egress_rule,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _ingress_rule,
}


def _zipped(archive: pulumi.AssetArchive) -> bytes:
    """The zip that Pulumi would upload."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for path, asset in sorted(archive.assets.items()):
            assert isinstance(asset, pulumi.FileAsset)
            target.write(asset.path, path)
    return packed.getvalue()


def _unique(name: str) -> str:
    """A name as Pulumi makes one where the program gives none."""
    return f"{name}-{secrets.token_hex(4)[:7]}"


def _whole(value: Any) -> Any:
    """The inputs with whole numbers as integers; on the wire Pulumi knows floats only."""
    if isinstance(value, Mapping):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _capitals(value: Any, *, values_as_they_are: tuple[str, ...] = ()) -> Any:
    """Pulumi's camel case as boto3 spells it, all the way down."""
    if isinstance(value, Mapping):
        return {_capital(key): inner if key in values_as_they_are else _capitals(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_capitals(inner) for inner in value]
    return value


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]
