"""The allowed connections of the network, and that there are no others."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from components.network import ZONE_LETTERS, zone_cidr
from tests.components.program import ACCOUNT, Deployed, deploy


def test_only_these_ways_are_open_between_the_groups(deployed: Deployed) -> None:
    groups = {
        f"{resource.name}-id": resource.name.removeprefix("network-") for resource in deployed.of("SecurityGroup")
    }

    def ways(kind: str) -> set[tuple[str, str, int, int]]:
        resource = [rule.inputs for rule in deployed.of(kind)]
        assert {rule["ipProtocol"] for rule in resource} == {"tcp"}
        return {
            (
                groups[rule["securityGroupId"]],
                groups.get(rule.get("referencedSecurityGroupId"), rule.get("prefixListId")),
                rule["fromPort"],
                rule["toPort"],
            )
            for rule in resource
        }

    assert ways("SecurityGroupIngressRule") == {
        ("job", "job", 0, 65535),
        ("warehouse", "job", 5439, 5439),
        ("sign-in", "job", 443, 443),
    }
    assert ways("SecurityGroupEgressRule") == {
        ("job", "job", 0, 65535),
        ("job", "warehouse", 5439, 5439),
        ("job", "sign-in", 443, 443),
        ("job", "pl-6da54004", 443, 443),
    }
    with_rules_of_their_own = [
        resource for resource in deployed.of("SecurityGroup") if set(resource.inputs) & {"ingress", "egress"}
    ]
    assert with_rules_of_their_own == []


def test_the_network_has_no_way_to_the_internet(deployed: Deployed) -> None:
    kinds = {resource.kind for resource in deployed.resources}
    assert kinds & {"InternetGateway", "NatGateway", "Eip", "Route", "EgressOnlyInternetGateway"} == set()
    assert [table for table in deployed.of("RouteTable") if table.inputs.get("routes")] == []
    assert {subnet.inputs["mapPublicIpOnLaunch"] for subnet in deployed.of("Subnet")} == {False}
    assert "0.0.0.0/0" not in json.dumps([dict(resource.inputs) for resource in deployed.resources], default=str)


def test_the_jobs_reach_s3_and_the_sign_in_endpoint(deployed: Deployed) -> None:
    endpoints = {resource.name: resource.inputs for resource in deployed.of("VpcEndpoint")}
    s3, sign_in = endpoints.pop("network-s3"), endpoints.pop("network-sign-in")
    assert endpoints == {}
    assert (s3["serviceName"], s3["vpcEndpointType"], s3["routeTableIds"]) == (
        "com.amazonaws.eu-west-1.s3",
        "Gateway",
        ["network-id"],
    )
    job_subnet = deployed.only("Connection", "processing").inputs["physicalConnectionRequirements"]
    assert (sign_in["serviceName"], sign_in["vpcEndpointType"], sign_in["privateDnsEnabled"]) == (
        "com.amazonaws.eu-west-1.redshift-serverless",
        "Interface",
        True,
    )
    assert sign_in["subnetIds"] == [job_subnet["subnetId"]]
    assert sign_in["securityGroupIds"] == ["network-sign-in-id"]
    vpc = deployed.only("Vpc", "network").inputs
    assert (vpc["enableDnsSupport"], vpc["enableDnsHostnames"]) == (True, True)


def test_the_vpcs_default_group_is_adopted_without_a_rule(deployed: Deployed) -> None:
    (group,) = deployed.of("DefaultSecurityGroup")
    assert {key: value for key, value in group.inputs.items() if key != "tags"} == {"vpcId": "network-id"}


def test_the_way_to_s3_leads_this_account_to_its_own_buckets_only(dev: Deployed) -> None:
    (endpoint,) = (resource for resource in dev.of("VpcEndpoint") if resource.name == "network-s3")
    own, others = json.loads(endpoint.inputs["policy"])["Statement"]
    buckets = [bucket.state["arn"] for bucket in dev.of("Bucket")]
    assert len(buckets) == 3
    assert (own["Effect"], own["Action"]) == ("Allow", "s3:*")
    assert sorted(own["Resource"]) == sorted([*buckets, *(f"{bucket}/*" for bucket in buckets)])
    # Glue reads its own files with an account of AWS. Other accounts may only read.
    assert others == {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "*",
        "Condition": {"StringNotEquals": {"aws:PrincipalAccount": ACCOUNT}},
    }


def test_the_subnets_are_in_the_configured_zones_and_share_routes(dev: Deployed) -> None:
    subnets = {resource.inputs["availabilityZone"]: resource.inputs["cidrBlock"] for resource in dev.of("Subnet")}
    assert subnets == {
        "eu-west-1a": "10.60.0.0/19",
        "eu-west-1b": "10.60.32.0/19",
        "eu-west-1c": "10.60.64.0/19",
    }
    joined = {
        (resource.inputs["subnetId"], resource.inputs["routeTableId"]) for resource in dev.of("RouteTableAssociation")
    }
    assert joined == {(f"network-{zone}-id", "network-id") for zone in subnets}


@given(prefix=st.integers(16, 24))
def test_zones_have_equal_disjoint_parts_of_the_network(prefix: int) -> None:
    network = ipaddress.IPv4Network(f"10.60.0.0/{prefix}")
    parts = [ipaddress.IPv4Network(zone_cidr(str(network), f"eu-west-1{letter}")) for letter in ZONE_LETTERS]
    assert len({part.prefixlen for part in parts}) == 1
    assert all(part.subnet_of(network) for part in parts)
    assert not any(item.overlaps(other) for item in parts for other in parts if item is not other)


def test_the_smallest_network_has_subnets_redshift_accepts() -> None:
    """/27 is what enhanced VPC routing needs, the most demanding use."""
    assert ipaddress.IPv4Network(zone_cidr("10.60.0.0/24", "eu-west-1a")).prefixlen == 27


def test_another_zone_never_takes_the_addresses_of_one_that_goes(dev: Deployed, wheel_directory: Path) -> None:
    """Pulumi creates the new subnet before it deletes the old one."""
    zones = json.dumps(["eu-west-1a", "eu-west-1b", "eu-west-1d"])
    changed = deploy("dev", wheel_directory, availabilityZones=zones)

    def blocks(stack: Deployed) -> dict[str, str]:
        return {resource.urn: resource.inputs["cidrBlock"] for resource in stack.of("Subnet")}

    before, after = blocks(dev), blocks(changed)
    kept = set(before) & set(after)
    assert len(kept) == 2
    assert {before[urn] for urn in kept} == {after[urn] for urn in kept}
    assert {after[urn] for urn in set(after) - kept} & set(before.values()) == set()


def test_two_zones_are_enough_where_the_region_has_no_more(wheel_directory: Path) -> None:
    stack = deploy("dev", wheel_directory, region="us-west-1", availabilityZones='["us-west-1a", "us-west-1c"]')
    assert len(stack.only("Workgroup", "warehouse").inputs["subnetIds"]) == 2
