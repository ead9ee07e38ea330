"""How the provider deletes each type of resource, told by boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.glue.models import glue_backends

from local.aws import Aws
from local.provider.context import Outputs

Client = Callable[[str], Any]


def delete(aws: Aws, type_: str, outputs: Outputs) -> None:
    """Delete one resource; raises KeyError for a type that nobody has told how to delete."""
    if type_ == "aws:glue/connection:Connection":
        # moto has no DeleteConnection.
        del glue_backends[aws.account][aws.region].connections[outputs["name"]]
        return
    act = _DELETE[type_]
    if act is not None:
        act(aws.client, outputs)


def _bucket(client: Client, outputs: Outputs) -> None:
    s3, bucket = client("s3"), outputs["bucket"]
    if outputs.get("forceDestroy"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    s3.delete_bucket(Bucket=bucket)


def _role_policy(client: Client, outputs: Outputs) -> None:
    iam, role = client("iam"), outputs["role"]
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=name)


def _targets(client: Client, outputs: Outputs) -> None:
    events, rule = client("events"), outputs["rule"]
    found = events.list_targets_by_rule(Rule=rule)["Targets"]
    events.remove_targets(Rule=rule, Ids=[target["Id"] for target in found])


def _association(client: Client, outputs: Outputs) -> None:
    client("ec2").disassociate_route_table(AssociationId=outputs["id"])


_SUSPENDED = {"Status": "Suspended"}
_NOTHING: dict[str, Any] = {}

_DELETE: dict[str, Callable[[Client, Outputs], Any] | None] = {
    "aws:cloudwatch/dashboard:Dashboard": lambda client, of: client("cloudwatch").delete_dashboards(
        DashboardNames=[of["dashboardName"]]
    ),
    "aws:cloudwatch/eventRule:EventRule": lambda client, of: client("events").delete_rule(Name=of["name"]),
    "aws:cloudwatch/eventTarget:EventTarget": _targets,
    "aws:cloudwatch/logGroup:LogGroup": lambda client, of: client("logs").delete_log_group(logGroupName=of["name"]),
    "aws:cloudwatch/metricAlarm:MetricAlarm": lambda client, of: client("cloudwatch").delete_alarms(
        AlarmNames=[of["name"]]
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": None,
    "aws:ec2/routeTable:RouteTable": lambda client, of: client("ec2").delete_route_table(RouteTableId=of["id"]),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _association,
    "aws:ec2/securityGroup:SecurityGroup": lambda client, of: client("ec2").delete_security_group(GroupId=of["id"]),
    "aws:ec2/subnet:Subnet": lambda client, of: client("ec2").delete_subnet(SubnetId=of["id"]),
    "aws:ec2/vpc:Vpc": lambda client, of: client("ec2").delete_vpc(VpcId=of["id"]),
    "aws:ec2/vpcEndpoint:VpcEndpoint": lambda client, of: client("ec2").delete_vpc_endpoints(VpcEndpointIds=[of["id"]]),
    "aws:glue/job:Job": lambda client, of: client("glue").delete_job(JobName=of["name"]),
    "aws:iam/role:Role": lambda client, of: client("iam").delete_role(RoleName=of["name"]),
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:lambda/eventSourceMapping:EventSourceMapping": lambda client, of: client("lambda").delete_event_source_mapping(
        UUID=of["id"]
    ),
    "aws:lambda/function:Function": lambda client, of: client("lambda").delete_function(FunctionName=of["name"]),
    "aws:lambda/permission:Permission": None,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": lambda client, of: client(
        "s3"
    ).delete_bucket_lifecycle(Bucket=of["bucket"]),
    "aws:s3/bucketNotification:BucketNotification": lambda client, of: client(
        "s3"
    ).put_bucket_notification_configuration(Bucket=of["bucket"], NotificationConfiguration=_NOTHING),
    "aws:s3/bucketObjectv2:BucketObjectv2": lambda client, of: client("s3").delete_object(
        Bucket=of["bucket"], Key=of["key"]
    ),
    "aws:s3/bucketPolicy:BucketPolicy": lambda client, of: client("s3").delete_bucket_policy(Bucket=of["bucket"]),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": lambda client, of: client("s3").delete_public_access_block(
        Bucket=of["bucket"]
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": lambda client, of: client(
        "s3"
    ).delete_bucket_encryption(Bucket=of["bucket"]),
    "aws:s3/bucketVersioning:BucketVersioning": lambda client, of: client("s3").put_bucket_versioning(
        Bucket=of["bucket"], VersioningConfiguration=_SUSPENDED
    ),
    "aws:sns/topic:Topic": lambda client, of: client("sns").delete_topic(TopicArn=of["arn"]),
    "aws:sns/topicPolicy:TopicPolicy": None,
    "aws:sns/topicSubscription:TopicSubscription": lambda client, of: client("sns").unsubscribe(
        SubscriptionArn=of["arn"]
    ),
    "aws:sqs/queue:Queue": lambda client, of: client("sqs").delete_queue(QueueUrl=of["url"]),
    "aws:sqs/queuePolicy:QueuePolicy": None,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": lambda client, of: client(
        "ec2"
    ).revoke_security_group_egress(GroupId=of["securityGroupId"], SecurityGroupRuleIds=[of["id"]]),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": lambda client, of: client(
        "ec2"
    ).revoke_security_group_ingress(GroupId=of["securityGroupId"], SecurityGroupRuleIds=[of["id"]]),
}
"""None: it goes with what it belongs to."""
