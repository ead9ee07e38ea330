"""The private network of the jobs and the warehouse: no NAT, no way in, two ways out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, vpc

from components.arns import account_of
from components.deployment import Deployment
from components.permissions import policy
from components.pipeline_component import PipelineComponent
from components.refusals import require
from components.storage import Storage

# Redshift Serverless needs two zones, and three with enhanced VPC routing; us-west-1 shows an account only two.
ZONES = (2, 3)
# Room for a subnet per zone letter, a to h. No Region has more.
ZONE_LETTERS = "abcdefgh"
HTTPS = 443
WAREHOUSE_PORT = 5439


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    deployment: Deployment
    storage: Storage
    vpc_cidr: str
    availability_zones: Sequence[str]

    def __post_init__(self) -> None:
        require(
            _is_private_network(self.vpc_cidr),
            "vpc_cidr",
            self.vpc_cidr,
            "a private IPv4 network between /16 and /24, such as 10.60.0.0/16",
        )
        zones = self.availability_zones
        require(
            isinstance(zones, (list, tuple))
            and len(zones) in ZONES
            and len(set(zones)) == len(zones)
            and all(
                re.fullmatch(f"{re.escape(self.deployment.region)}[{ZONE_LETTERS}]", str(zone)) is not None
                for zone in zones
            ),
            "availability_zones",
            zones,
            f"three different zones of the Region {self.deployment.region} (two where it has no more)",
        )


class Network(PipelineComponent):
    """A VPC with private subnets, the endpoints the jobs need and security groups that name each other."""

    vpc: ec2.Vpc
    subnets: list[ec2.Subnet]
    """One per zone. The jobs run in the first."""
    job_zone: str
    jobs: ec2.SecurityGroup
    warehouse: ec2.SecurityGroup
    warehouse_port: int = WAREHOUSE_PORT

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        # Both DNS switches: the endpoint is found under the service's public name.
        self.vpc = ec2.Vpc(
            name,
            cidr_block=args.vpc_cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags("network"),
            opts=self._child(),
        )
        # AWS creates this group with every VPC and allows all outgoing traffic. Nothing uses it, so it gets no rules.
        ec2.DefaultSecurityGroup(name, vpc_id=self.vpc.id, tags=self._tags("unused"), opts=self._child())
        routes = ec2.RouteTable(name, vpc_id=self.vpc.id, tags=self._tags("network"), opts=self._child())
        self.subnets = [
            self._private_subnet(zone, zone_cidr(args.vpc_cidr, zone), routes) for zone in args.availability_zones
        ]
        self.job_zone = args.availability_zones[0]
        # AWS keeps five addresses of each subnet.
        self.job_addresses = ipaddress.IPv4Network(zone_cidr(args.vpc_cidr, self.job_zone)).num_addresses - 5
        self.jobs = self._security_group("job", "The jobs")
        self.warehouse = self._security_group("warehouse", "The warehouse")
        self._open_ways_out(routes, args.storage)
        # Glue refuses a connection whose security group does not let itself in on every TCP port.
        self._open("job-to-itself", self.jobs, self.jobs, 0, 65535)
        self._open("job-to-warehouse", self.jobs, self.warehouse, WAREHOUSE_PORT, WAREHOUSE_PORT)
        self.register_outputs({"subnet_ids": [subnet.id for subnet in self.subnets]})

    def _open_ways_out(self, routes: ec2.RouteTable, storage: Storage) -> None:
        """Open the two ways out: to S3, and to the endpoint where jobs sign in to the warehouse."""
        s3_endpoint = ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=self.vpc.id,
            service_name=f"com.amazonaws.{self._deployment.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            policy=self._s3_policy(storage),
            tags=self._tags("s3"),
            opts=self._child(),
        )
        vpc.SecurityGroupEgressRule(
            f"{self._name}-job-to-s3-out",
            security_group_id=self.jobs.id,
            prefix_list_id=s3_endpoint.prefix_list_id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            description="job to S3",
            tags=self._tags("job-to-s3"),
            opts=self._child(),
        )
        sign_in = self._security_group("sign-in", "The endpoint where jobs sign in to the warehouse")
        # An interface endpoint is paid per zone and hour, so there is one, in the jobs' zone.
        ec2.VpcEndpoint(
            f"{self._name}-sign-in",
            vpc_id=self.vpc.id,
            service_name=f"com.amazonaws.{self._deployment.region}.redshift-serverless",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=[self.subnets[0].id],
            security_group_ids=[sign_in.id],
            tags=self._tags("sign-in"),
            opts=self._child(),
        )
        self._open("job-to-sign-in", self.jobs, sign_in, HTTPS, HTTPS)

    def _s3_policy(self, storage: Storage) -> pulumi.Output[str]:
        """This account reaches only the stack's buckets, so no data leaves for another account's bucket.

        Glue may fetch its own scripts and libraries this way, under names that AWS does not publish and as an
        account of AWS's own: so other accounts may only read.
        """
        arns = [bucket.arn for bucket in storage.buckets]
        account = account_of(self.vpc.arn)
        own: dict[str, object] = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [*arns, *(pulumi.Output.concat(arn, "/*") for arn in arns)],
        }
        glues: dict[str, object] = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:PrincipalAccount": account}},
        }
        return policy([own, glues])

    def _private_subnet(self, zone: str, cidr: str, routes: ec2.RouteTable) -> ec2.Subnet:
        name = f"{self._name}-{zone}"
        subnet = ec2.Subnet(
            name,
            vpc_id=self.vpc.id,
            availability_zone=zone,
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags=self._tags(zone),
            opts=self._child(),
        )
        ec2.RouteTableAssociation(name, subnet_id=subnet.id, route_table_id=routes.id, opts=self._child())
        return subnet

    def _security_group(self, resource: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            f"{self._name}-{resource}",
            vpc_id=self.vpc.id,
            description=description,
            tags=self._tags(resource),
            opts=self._child(),
        )

    def _open(
        self, way: str, source: ec2.SecurityGroup, target: ec2.SecurityGroup, from_port: int, to_port: int
    ) -> None:
        """Let one group reach another on some ports: a rule out of the one and a rule into the other."""
        vpc.SecurityGroupEgressRule(
            f"{self._name}-{way}-out",
            security_group_id=source.id,
            referenced_security_group_id=target.id,
            ip_protocol="tcp",
            from_port=from_port,
            to_port=to_port,
            description=way.replace("-", " "),
            tags=self._tags(way),
            opts=self._child(),
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
            opts=self._child(),
        )


def zone_cidr(vpc_cidr: str, zone: str) -> str:
    """The eighth of a network that belongs to a zone, chosen by its letter, so that no two zones ever share one."""
    parts = ipaddress.IPv4Network(vpc_cidr).subnets(new_prefix=ipaddress.IPv4Network(vpc_cidr).prefixlen + 3)
    return str(list(parts)[ZONE_LETTERS.index(zone[-1])])


def _is_private_network(cidr: str) -> bool:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError:
        return False
    return network.is_private and 16 <= network.prefixlen <= 24
