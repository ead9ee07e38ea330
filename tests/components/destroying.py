"""Deletes each type of resource as the provider does, with boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.glue.models import glue_backends

from local.api.aws import Aws
from local.provider.context import Outputs

_CALLS: dict[str, tuple[str, str, dict[str, str]]] = {
    "aws:cloudwatch/eventRule:EventRule": ("events", "delete_rule", {"Name": "name"}),
    "aws:cloudwatch/logGroup:LogGroup": ("logs", "delete_log_group", {"logGroupName": "name"}),
    "aws:ec2/routeTable:RouteTable": ("ec2", "delete_route_table", {"RouteTableId": "id"}),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": (
        *("ec2", "disassociate_route_table"),
        {"AssociationId": "id"},
    ),
    "aws:ec2/securityGroup:SecurityGroup": ("ec2", "delete_security_group", {"GroupId": "id"}),
    "aws:ec2/subnet:Subnet": ("ec2", "delete_subnet", {"SubnetId": "id"}),
    "aws:ec2/vpc:Vpc": ("ec2", "delete_vpc", {"VpcId": "id"}),
    "aws:glue/job:Job": ("glue", "delete_job", {"JobName": "name"}),
    "aws:iam/role:Role": ("iam", "delete_role", {"RoleName": "name"}),
    "aws:lambda/eventSourceMapping:EventSourceMapping": ("lambda", "delete_event_source_mapping", {"UUID": "id"}),
    "aws:lambda/function:Function": ("lambda", "delete_function", {"FunctionName": "name"}),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        *("s3", "delete_bucket_lifecycle"),
        {"Bucket": "bucket"},
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": ("s3", "delete_object", {"Bucket": "bucket", "Key": "key"}),
    "aws:s3/bucketPolicy:BucketPolicy": ("s3", "delete_bucket_policy", {"Bucket": "bucket"}),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        *("s3", "delete_public_access_block"),
        {"Bucket": "bucket"},
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        *("s3", "delete_bucket_encryption"),
        {"Bucket": "bucket"},
    ),
    "aws:sns/topic:Topic": ("sns", "delete_topic", {"TopicArn": "arn"}),
    "aws:sns/topicSubscription:TopicSubscription": ("sns", "unsubscribe", {"SubscriptionArn": "arn"}),
    "aws:sqs/queue:Queue": ("sqs", "delete_queue", {"QueueUrl": "url"}),
}
"""Type -> service, operation, and its parameters with the outputs that they get."""

_GO_WITH_THEIR_OWNERS = (
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:lambda/permission:Permission",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:sqs/queuePolicy:QueuePolicy",
)


def delete(aws: Aws, type_: str, outputs: Outputs) -> None:
    """Delete one resource; raises KeyError for a type that this module does not know."""
    if type_ in _CALLS:
        service, operation, names = _CALLS[type_]
        getattr(aws.client(service), operation)(**{name: outputs[output] for name, output in names.items()})
    elif type_ not in _GO_WITH_THEIR_OWNERS:
        _OTHERS[type_](aws, outputs)


def _bucket(aws: Aws, outputs: Outputs) -> None:
    s3, bucket = aws.client("s3"), outputs["bucket"]
    if outputs.get("forceDestroy"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    s3.delete_bucket(Bucket=bucket)


def _bucket_versioning(aws: Aws, outputs: Outputs) -> None:
    aws.client("s3").put_bucket_versioning(Bucket=outputs["bucket"], VersioningConfiguration={"Status": "Suspended"})


def _bucket_notification(aws: Aws, outputs: Outputs) -> None:
    nothing: dict[str, Any] = {}
    aws.client("s3").put_bucket_notification_configuration(Bucket=outputs["bucket"], NotificationConfiguration=nothing)


def _role_policy(aws: Aws, outputs: Outputs) -> None:
    iam, role = aws.client("iam"), outputs["role"]
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=name)


def _event_target(aws: Aws, outputs: Outputs) -> None:
    events, rule = aws.client("events"), outputs["rule"]
    targets = events.list_targets_by_rule(Rule=rule)["Targets"]
    events.remove_targets(Rule=rule, Ids=[target["Id"] for target in targets])


def _connection(aws: Aws, outputs: Outputs) -> None:
    # moto has no DeleteConnection.
    del glue_backends[aws.account][aws.region].connections[outputs["name"]]


def _security_group_rule(direction: str) -> Callable[[Aws, Outputs], Any]:
    def revoke(aws: Aws, outputs: Outputs) -> None:
        getattr(aws.client("ec2"), f"revoke_security_group_{direction}")(
            GroupId=outputs["securityGroupId"], SecurityGroupRuleIds=[outputs["id"]]
        )

    return revoke


_OTHERS: dict[str, Callable[[Aws, Outputs], Any]] = {
    "aws:cloudwatch/dashboard:Dashboard": lambda aws, of: aws.client("cloudwatch").delete_dashboards(
        DashboardNames=[of["dashboardName"]]
    ),
    "aws:cloudwatch/eventTarget:EventTarget": _event_target,
    "aws:cloudwatch/metricAlarm:MetricAlarm": lambda aws, of: aws.client("cloudwatch").delete_alarms(
        AlarmNames=[of["name"]]
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": lambda aws, of: aws.client("ec2").delete_vpc_endpoints(
        VpcEndpointIds=[of["id"]]
    ),
    "aws:glue/connection:Connection": _connection,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketNotification:BucketNotification": _bucket_notification,
    "aws:s3/bucketVersioning:BucketVersioning": _bucket_versioning,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _security_group_rule("egress"),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _security_group_rule("ingress"),
}
