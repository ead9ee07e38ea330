"""Who reaches whom, and that nobody else does."""

from __future__ import annotations

import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.network import subnet_cidrs
from tests.components.program import Deployed


def test_only_these_ways_are_open_between_the_groups(deployed: Deployed) -> None:
    groups = {f"{found.name}-id": found.name.removeprefix("network-") for found in deployed.of("SecurityGroup")}

    def ways(kind: str) -> set[tuple[str, str, int, int]]:
        found = [rule.inputs for rule in deployed.of(kind)]
        assert {rule["ipProtocol"] for rule in found} == {"tcp"}
        return {
            (
                groups[rule["securityGroupId"]],
                groups.get(rule.get("referencedSecurityGroupId"), rule.get("prefixListId")),
                rule["fromPort"],
                rule["toPort"],
            )
            for rule in found
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
    rules_of_their_own = [found for found in deployed.of("SecurityGroup") if set(found.inputs) & {"ingress", "egress"}]
    assert rules_of_their_own == []


def test_the_network_has_no_way_to_the_internet(deployed: Deployed) -> None:
    kinds = {found.kind for found in deployed.resources}
    assert kinds & {"InternetGateway", "NatGateway", "Eip", "Route", "EgressOnlyInternetGateway"} == set()
    assert [table for table in deployed.of("RouteTable") if table.inputs.get("routes")] == []
    assert {subnet.inputs["mapPublicIpOnLaunch"] for subnet in deployed.of("Subnet")} == {False}
    assert "0.0.0.0/0" not in json.dumps([dict(found.inputs) for found in deployed.resources], default=str)


def test_the_jobs_reach_s3_and_the_sign_in_and_the_endpoint_stands_in_their_subnet(deployed: Deployed) -> None:
    endpoints = {found.name: found.inputs for found in deployed.of("VpcEndpoint")}
    s3, sign_in = endpoints.pop("network-s3"), endpoints.pop("network-sign-in")
    assert endpoints == {}
    assert (s3["serviceName"], s3["vpcEndpointType"], s3["routeTableIds"]) == (
        "com.amazonaws.eu-west-1.s3",
        "Gateway",
        ["network-id"],
    )
    job_subnet = deployed.one("Connection", "processing").inputs["physicalConnectionRequirements"]
    assert (sign_in["serviceName"], sign_in["vpcEndpointType"], sign_in["privateDnsEnabled"]) == (
        "com.amazonaws.eu-west-1.redshift-serverless",
        "Interface",
        True,
    )
    assert sign_in["subnetIds"] == [job_subnet["subnetId"]]
    assert sign_in["securityGroupIds"] == ["network-sign-in-id"]
    vpc = deployed.one("Vpc", "network").inputs
    assert (vpc["enableDnsSupport"], vpc["enableDnsHostnames"]) == (True, True)


def test_the_subnets_lie_in_the_configured_zones_and_share_the_routes(dev: Deployed) -> None:
    subnets = {found.inputs["availabilityZone"]: found.inputs["cidrBlock"] for found in dev.of("Subnet")}
    assert subnets == {
        "eu-west-1a": "10.60.0.0/18",
        "eu-west-1b": "10.60.64.0/18",
        "eu-west-1c": "10.60.128.0/18",
    }
    joined = {(found.inputs["subnetId"], found.inputs["routeTableId"]) for found in dev.of("RouteTableAssociation")}
    assert joined == {(f"network-{zone}-id", "network-id") for zone in subnets}


@given(prefix=st.integers(16, 24), count=st.integers(1, 8))
def test_subnets_are_equal_disjoint_and_inside_the_network(prefix: int, count: int) -> None:
    network = ipaddress.IPv4Network(f"10.60.0.0/{prefix}")
    parts = [ipaddress.IPv4Network(cidr) for cidr in subnet_cidrs(str(network), count)]
    assert len(parts) == count
    assert len({part.prefixlen for part in parts}) == 1
    assert all(part.subnet_of(network) for part in parts)
    assert not any(one.overlaps(other) for one in parts for other in parts if one is not other)
    # As large as they can be: twice the size, and `count` of them no longer fit.
    assert count == 1 or count * parts[0].num_addresses * 2 > network.num_addresses


@pytest.mark.parametrize("cidr", ["10.60.0.0/24"])
def test_the_smallest_network_still_has_subnets_of_the_size_redshift_asks_for(cidr: str) -> None:
    """/27 is what enhanced VPC routing wants."""
    assert {ipaddress.IPv4Network(part).prefixlen for part in subnet_cidrs(cidr, 3)} == {26}
