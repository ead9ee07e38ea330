"""The private network in which the jobs meet the warehouse: no NAT, no way in, no way out but two."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import pulumi
from pulumi_aws import ec2, vpc

from components.deployment import Deployment
from components.refusals import require

# Redshift Serverless asks for two, for three with enhanced VPC routing; a third subnet costs nothing.
ZONES = 3
HTTPS = 443


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    deployment: Deployment
    vpc_cidr: str
    availability_zones: Sequence[str]
    warehouse_port: int = 5439

    def __post_init__(self) -> None:
        require(
            _is_private_network(self.vpc_cidr),
            "vpc_cidr",
            self.vpc_cidr,
            "a private IPv4 network between /16 and /24, such as 10.60.0.0/16",
        )
        zones = self.availability_zones
        require(
            len(zones) == ZONES
            and len(set(zones)) == ZONES
            and all(isinstance(zone, str) and zone.startswith(self.deployment.region) for zone in zones),
            "availability_zones",
            zones,
            f"{ZONES} different zones of the Region {self.deployment.region}",
        )


class Network(pulumi.ComponentResource):
    """A VPC with private subnets, the endpoints the jobs need and security groups that name each other."""

    vpc_arn: pulumi.Output[str]
    subnet_ids: list[pulumi.Output[str]]
    job_subnet_id: pulumi.Output[str]
    job_subnet_arn: pulumi.Output[str]
    job_zone: str
    job_security_group_id: pulumi.Output[str]
    job_security_group_arn: pulumi.Output[str]
    warehouse_security_group_id: pulumi.Output[str]
    warehouse_port: int

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("transactions-pipeline:index:Network", name, {}, opts)
        self._name, self._deployment = name, args.deployment
        self._child = pulumi.ResourceOptions(parent=self)

        # Both DNS switches: the endpoint is found under the service's public name.
        network = ec2.Vpc(
            name,
            cidr_block=args.vpc_cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags(),
            opts=self._child,
        )
        routes = ec2.RouteTable(name, vpc_id=network.id, tags=self._tags(), opts=self._child)
        subnets = [
            self._private_subnet(zone, cidr, network, routes)
            for zone, cidr in zip(args.availability_zones, subnet_cidrs(args.vpc_cidr, ZONES), strict=True)
        ]
        job = self._security_group("job", "The jobs", network)
        warehouse = self._security_group("warehouse", "The warehouse", network)
        endpoint = self._security_group("sign-in", "The endpoint where jobs sign in to the warehouse", network)

        s3_endpoint = ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=network.id,
            service_name=f"com.amazonaws.{args.deployment.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            tags=self._tags("s3"),
            opts=self._child,
        )
        # An interface endpoint is paid per zone and hour: one, where the jobs are.
        ec2.VpcEndpoint(
            f"{name}-sign-in",
            vpc_id=network.id,
            service_name=f"com.amazonaws.{args.deployment.region}.redshift-serverless",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=[subnets[0].id],
            security_group_ids=[endpoint.id],
            tags=self._tags("sign-in"),
            opts=self._child,
        )

        # Glue refuses a connection whose security group does not let itself in on every TCP port.
        self._open("job-to-itself", job, job, 0, 65535)
        self._open("job-to-warehouse", job, warehouse, args.warehouse_port, args.warehouse_port)
        self._open("job-to-sign-in", job, endpoint, HTTPS, HTTPS)
        vpc.SecurityGroupEgressRule(
            f"{name}-job-to-s3-out",
            security_group_id=job.id,
            prefix_list_id=s3_endpoint.prefix_list_id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            description="job to S3",
            tags=self._tags("job-to-s3"),
            opts=self._child,
        )

        self.vpc_arn = network.arn
        self.subnet_ids = [subnet.id for subnet in subnets]
        self.job_subnet_id, self.job_subnet_arn = subnets[0].id, subnets[0].arn
        self.job_zone = args.availability_zones[0]
        self.job_security_group_id, self.job_security_group_arn = job.id, job.arn
        self.warehouse_security_group_id = warehouse.id
        self.warehouse_port = args.warehouse_port
        self.register_outputs({"subnet_ids": self.subnet_ids})

    def _private_subnet(self, zone: str, cidr: str, network: ec2.Vpc, routes: ec2.RouteTable) -> ec2.Subnet:
        subnet = ec2.Subnet(
            f"{self._name}-{zone}",
            vpc_id=network.id,
            availability_zone=zone,
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags=self._tags(zone),
            opts=self._child,
        )
        ec2.RouteTableAssociation(
            f"{self._name}-{zone}", subnet_id=subnet.id, route_table_id=routes.id, opts=self._child
        )
        return subnet

    def _security_group(self, thing: str, description: str, network: ec2.Vpc) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            f"{self._name}-{thing}",
            vpc_id=network.id,
            description=description,
            tags=self._tags(thing),
            opts=self._child,
        )

    def _open(
        self, way: str, source: ec2.SecurityGroup, target: ec2.SecurityGroup, from_port: int, to_port: int
    ) -> None:
        """Let one group reach another on some ports: out of the one, into the other."""
        vpc.SecurityGroupEgressRule(
            f"{self._name}-{way}-out",
            security_group_id=source.id,
            referenced_security_group_id=target.id,
            ip_protocol="tcp",
            from_port=from_port,
            to_port=to_port,
            description=way.replace("-", " "),
            tags=self._tags(way),
            opts=self._child,
        )
        vpc.SecurityGroupIngressRule(
            f"{self._name}-{way}-in",
            security_group_id=target.id,
            referenced_security_group_id=source.id,
            ip_protocol="tcp",
            from_port=from_port,
            to_port=to_port,
            description=way.replace("-", " "),
            tags=self._tags(way),
            opts=self._child,
        )

    def _tags(self, thing: str = "network") -> dict[str, str]:
        return self._deployment.tags(Name=self._deployment.name(thing))


def subnet_cidrs(vpc_cidr: str, count: int) -> list[str]:
    """The first `count` equal parts of a network, as large as they can be."""
    part_bits = (count - 1).bit_length()
    parts = ipaddress.IPv4Network(vpc_cidr).subnets(prefixlen_diff=part_bits)
    return [str(part) for part in islice(parts, count)]


def _is_private_network(cidr: str) -> bool:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:
        return False
    return network.is_private and 16 <= network.prefixlen <= 24
