"""Links into the AWS console: a run's log, and an object or a folder."""

from __future__ import annotations

from urllib.parse import quote

from schemas.runs import SPARK_OUTPUT_LOG_GROUP


def log_link(region: str, log_group: str, run_id: str) -> str:
    """The address of the run's log stream, which Glue names after the run; for a run on Spark, the list of its streams,
    whose names begin with the run's id."""
    group, stream = _twice_quoted(log_group), _twice_quoted(run_id)
    streams = f"$3FlogStreamNameFilter$3D{stream}" if log_group == SPARK_OUTPUT_LOG_GROUP else f"/log-events/{stream}"
    return (
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
        f"#logsV2:log-groups/log-group/{group}{streams}"
    )


def object_link(region: str, bucket: str, key: str) -> str:
    """The address of an object's page; for a key that ends with a slash, of the list of what is below it."""
    page, prefix = "buckets" if key.endswith("/") else "object", quote(key, errors="replace")
    return f"https://{region}.console.aws.amazon.com/s3/{page}/{bucket}?region={region}&prefix={prefix}"


def _twice_quoted(name: str) -> str:
    # The console's own form: quoted twice, with $25 as the second %.
    return quote(quote(name, safe=""), safe="").replace("%", "$")
