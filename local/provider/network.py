"""The private network, created in moto's EC2."""

from __future__ import annotations

from typing import Any

from local.provider.context import Create, Inputs, MotoProvider, Outputs, capital, tag_list, unique_name


def _vpc(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    ec2 = provider.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=inputs["cidrBlock"])["Vpc"]["VpcId"]
    for switch in ("enableDnsSupport", "enableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{capital(switch): {"Value": inputs.get(switch, False)}})
    _tag(provider, vpc, inputs)
    return {"id": vpc, "arn": provider.arn("ec2", f"vpc/{vpc}")}


def _subnet(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    made = provider.client("ec2").create_subnet(
        VpcId=inputs["vpcId"], CidrBlock=inputs["cidrBlock"], AvailabilityZone=inputs["availabilityZone"]
    )
    subnet = made["Subnet"]["SubnetId"]
    provider.client("ec2").modify_subnet_attribute(
        SubnetId=subnet, MapPublicIpOnLaunch={"Value": inputs["mapPublicIpOnLaunch"]}
    )
    _tag(provider, subnet, inputs)
    return {"id": subnet, "arn": provider.arn("ec2", f"subnet/{subnet}")}


def _route_table(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    made = provider.client("ec2").create_route_table(VpcId=inputs["vpcId"])
    table = made["RouteTable"]["RouteTableId"]
    _tag(provider, table, inputs)
    return {"id": table}


def _route_table_association(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    made = provider.client("ec2").associate_route_table(
        RouteTableId=inputs["routeTableId"], SubnetId=inputs["subnetId"]
    )
    return {"id": made["AssociationId"]}


def _security_group(provider: MotoProvider, name: str, inputs: Inputs) -> Outputs:
    ec2 = provider.client("ec2")
    group = ec2.create_security_group(
        GroupName=unique_name(name), Description=inputs["description"], VpcId=inputs["vpcId"]
    )["GroupId"]
    # EC2 gives a new group a rule that allows all outgoing traffic; the real provider removes it.
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    _tag(provider, group, inputs)
    return {"id": group, "arn": provider.arn("ec2", f"security-group/{group}")}


def _default_security_group(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    """Adopt the VPC's default group: the provider removes all rules that are not declared."""
    ec2 = provider.client("ec2")
    filters = [{"Name": "vpc-id", "Values": [inputs["vpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
    (group,) = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    for direction, rules in (("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress")):
        if group[rules]:
            revoke = getattr(ec2, f"revoke_security_group_{direction}")
            revoke(GroupId=group["GroupId"], IpPermissions=group[rules])
    _tag(provider, group["GroupId"], inputs)
    return {"id": group["GroupId"], "arn": provider.arn("ec2", f"security-group/{group['GroupId']}")}


def _security_group_rule(provider: MotoProvider, inputs: Inputs, authorize: str) -> Outputs:
    permission: dict[str, Any] = {
        "IpProtocol": inputs["ipProtocol"],
        "FromPort": inputs["fromPort"],
        "ToPort": inputs["toPort"],
    }
    described = {"Description": inputs["description"]}
    if inputs.get("referencedSecurityGroupId"):
        permission["UserIdGroupPairs"] = [{"GroupId": inputs["referencedSecurityGroupId"], **described}]
    if inputs.get("prefixListId"):
        permission["PrefixListIds"] = [{"PrefixListId": inputs["prefixListId"], **described}]
    made = getattr(provider.client("ec2"), authorize)(GroupId=inputs["securityGroupId"], IpPermissions=[permission])
    rule = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    _tag(provider, rule, inputs)
    return {"id": rule}


def _ingress_rule(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    return _security_group_rule(provider, inputs, "authorize_security_group_ingress")


def _egress_rule(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    return _security_group_rule(provider, inputs, "authorize_security_group_egress")


def _vpc_endpoint(provider: MotoProvider, _: str, inputs: Inputs) -> Outputs:
    ec2 = provider.client("ec2")
    names = ("vpcId", "serviceName", "vpcEndpointType", "routeTableIds", "subnetIds", "securityGroupIds")
    policy = {"PolicyDocument": inputs["policy"]} if inputs.get("policy") else {}
    made = ec2.create_vpc_endpoint(
        PrivateDnsEnabled=inputs.get("privateDnsEnabled", False),
        **{capital(name): inputs[name] for name in names if inputs.get(name)},
        **policy,
    )
    _tag(provider, made["VpcEndpoint"]["VpcEndpointId"], inputs)
    lists = ec2.describe_managed_prefix_lists()["PrefixLists"]
    list_ids = [entry["PrefixListId"] for entry in lists if entry["PrefixListName"] == inputs["serviceName"]]
    return {"id": made["VpcEndpoint"]["VpcEndpointId"], "prefixListId": list_ids[0] if list_ids else None}


def _tag(provider: MotoProvider, resource_id: str, inputs: Inputs) -> None:
    if inputs.get("tags"):
        provider.client("ec2").create_tags(Resources=[resource_id], Tags=tag_list(inputs))


CREATE: dict[str, Create] = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _default_security_group,
    "aws:ec2/routeTable:RouteTable": _route_table,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _route_table_association,
    "aws:ec2/securityGroup:SecurityGroup": _security_group,
    "aws:ec2/subnet:Subnet": _subnet,
    "aws:ec2/vpc:Vpc": _vpc,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _vpc_endpoint,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _egress_rule,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _ingress_rule,
}
