"""What a stack costs, idle and per load, from prices in one place."""

from __future__ import annotations

from dataclasses import dataclass

HOURS_PER_MONTH = 730
DAYS_PER_MONTH = 365 / 12


@dataclass(frozen=True)
class Prices:
    """US dollars, on demand, before any free tier. Look them up for your Region before you rely on them."""

    as_of: str = "November 2026, us-east-1"
    glue_dpu_hour: float = 0.44
    redshift_rpu_hour: float = 0.375
    interface_endpoint_hour: float = 0.01
    secret_month: float = 0.40
    alarm_month: float = 0.10
    s3_gb_month: float = 0.023
    s3_thousand_writes: float = 0.005


@dataclass(frozen=True)
class Usage:
    """How a stack with the defaults of Pulumi.yaml uses AWS."""

    interface_endpoints: int = 1
    secrets: int = 1
    alarms: int = 12
    dpu: float = 0.0625
    rpu: int = 4
    job_seconds: float = 20
    """Start-up, download, UNLOAD and load of a day, whatever its size."""
    job_seconds_per_million_rows: float = 10
    """2 to 3 CPU seconds a million rows on a core of its own (`make bench`); 0.0625 DPU is half a slower one."""
    warehouse_windows: int = 2
    """UNLOAD at the start and the load at the end each wake the warehouse, for 60 s at the least."""
    bytes_per_row: float = 110
    """CSV in the archive and its old version, rejected rows, report."""
    writes_per_load: int = 20


def idle_month(prices: Prices, usage: Usage) -> dict[str, float]:
    """Dollars a month without a single drop, by what they are paid for."""
    return {
        "interface endpoint for signing in": HOURS_PER_MONTH
        * prices.interface_endpoint_hour
        * usage.interface_endpoints,
        "the warehouse's admin secret": prices.secret_month * usage.secrets,
        "alarms": prices.alarm_month * usage.alarms,
        "Glue, Redshift, Lambda, SQS, SNS": 0.0,
    }


def load(prices: Prices, usage: Usage, rows: int) -> dict[str, float]:
    """Dollars for one load of so many rows, by what they are paid for; storage is for a month."""
    millions = rows / 1e6
    seconds = max(60.0, usage.job_seconds + usage.job_seconds_per_million_rows * millions)
    warehouse_seconds = usage.warehouse_windows * max(60.0, 10 * millions)
    return {
        "Glue": seconds / 3600 * usage.dpu * prices.glue_dpu_hour,
        "Redshift": warehouse_seconds / 3600 * usage.rpu * prices.redshift_rpu_hour,
        "S3": rows * usage.bytes_per_row / 1e9 * prices.s3_gb_month
        + usage.writes_per_load / 1000 * prices.s3_thousand_writes,
    }
