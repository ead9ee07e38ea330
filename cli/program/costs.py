"""The costs of a stack, idle and per load, from one table of prices and the resources that the program declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.program.declared_resources import Resource

HOURS_PER_MONTH = 730
DAYS_PER_MONTH = 365 / 12


@dataclass(frozen=True)
class Prices:
    """US dollars, on demand, before any free tier (aws.amazon.com/pricing)."""

    region: str = "us-east-1"
    as_of: str = "November 2026"
    glue_dpu_hour: float = 0.44
    glue_spark_dpu_hour: float = 0.308
    """Glue 6.0."""
    redshift_rpu_hour: float = 0.375
    redshift_gb_month: float = 0.024
    interface_endpoint_hour: float = 0.01
    secret_month: float = 0.40
    alarm_month: float = 0.10
    s3_gb_month: float = 0.023
    s3_thousand_writes: float = 0.005


@dataclass(frozen=True)
class Usage:
    """The amounts of each AWS service that a stack uses."""

    interface_endpoints: int
    secrets: int
    alarms: int
    dpu: float
    rpu: int
    large_dpu: int = 0
    """Of the job for large files; 0 where there is none."""
    job_seconds: float = 180
    """The part that does not depend on the number of rows: start-up, pip, UNLOAD, load (two to four minutes)."""
    job_seconds_per_million_rows: float = 10
    """A million rows take 2 to 3 CPU seconds on one core (`make bench`); 0.0625 DPU is half of a slower core."""
    warehouse_windows: int = 2
    """The UNLOAD at the start and the load at the end each wake the warehouse for at least 60 s."""
    bytes_per_row: float = 110
    """The bytes in S3: the CSV in the archive and its old version, rejected rows, report."""
    history_bytes_per_row: float = 60
    """The bytes of the history in the warehouse, compressed."""
    writes_per_load: int = 20


def usage_of(resources: Sequence[Resource]) -> Usage:
    """The usage of a stack, counted and read from its declared resources."""

    def of(kind: str) -> list[Resource]:
        return [resource for resource in resources if resource.type.endswith(f":{kind}")]

    return Usage(
        interface_endpoints=sum(part.inputs.get("vpcEndpointType") == "Interface" for part in of("VpcEndpoint")),
        secrets=sum(bool(part.inputs.get("manageAdminPassword")) for part in of("Namespace")),
        alarms=len(of("MetricAlarm")),
        dpu=max(float(part.inputs.get("maxCapacity") or 0) for part in of("Job")),
        large_dpu=sum(int(part.inputs.get("numberOfWorkers") or 0) for part in of("Job")),
        rpu=max(int(part.inputs["baseCapacity"]) for part in of("Workgroup")),
    )


def idle_month(prices: Prices, usage: Usage) -> dict[str, float]:
    """Dollars a month without a single drop, by service."""
    endpoints = HOURS_PER_MONTH * prices.interface_endpoint_hour * usage.interface_endpoints
    return {
        "interface endpoint for signing in": endpoints,
        "the warehouse's admin secret": prices.secret_month * usage.secrets,
        f"{usage.alarms} alarms": prices.alarm_month * usage.alarms,
        "Glue, Redshift, Lambda, SQS, SNS": 0.0,
    }


def load(prices: Prices, usage: Usage, rows: int) -> dict[str, float]:
    """Dollars for one load of `rows` rows, by service; storage is for a month."""
    millions = rows / 1e6
    seconds = max(60.0, usage.job_seconds + usage.job_seconds_per_million_rows * millions)
    warehouse_seconds = usage.warehouse_windows * max(60.0, 10 * millions)
    return {
        "Glue": seconds / 3600 * usage.dpu * prices.glue_dpu_hour,
        f"Redshift, {usage.rpu} RPU": warehouse_seconds / 3600 * usage.rpu * prices.redshift_rpu_hour,
        "S3": rows * usage.bytes_per_row / 1e9 * prices.s3_gb_month
        + usage.writes_per_load / 1000 * prices.s3_thousand_writes,
    }


def beside_loads(prices: Prices, usage: Usage, rows: int) -> dict[str, float]:
    """Dollars that do not depend on loads alone: analysts' queries, the history of a year, workers for large files."""
    year_gb = rows * 365 * usage.history_bytes_per_row / 1e9
    large = {f"an hour of {usage.large_dpu} workers for large files": usage.large_dpu * prices.glue_spark_dpu_hour}
    return {
        **(large if usage.large_dpu else {}),
        "an hour in which analysts query": usage.rpu * prices.redshift_rpu_hour,
        "a month's storage of a year's history": year_gb * prices.redshift_gb_month,
    }
