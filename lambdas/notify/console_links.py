"""Links into the AWS console: a run's log, and an object or a folder."""

from __future__ import annotations

from urllib.parse import quote


def log_link(region: str, log_group: str, run_id: str) -> str:
    """The address of the run's log stream, which Glue names after the run."""
    group, stream = _twice_quoted(log_group), _twice_quoted(run_id)
    return (
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
        f"#logsV2:log-groups/log-group/{group}/log-events/{stream}"
    )


def object_link(region: str, bucket: str, key: str) -> str:
    """The address of an object's page; for a key that ends with a slash, of the list of what is below it."""
    page, prefix = "buckets" if key.endswith("/") else "object", quote(key, errors="replace")
    return f"https://{region}.console.aws.amazon.com/s3/{page}/{bucket}?region={region}&prefix={prefix}"


def _twice_quoted(name: str) -> str:
    # The console's own form: quoted twice, with $25 as the second %.
    return quote(quote(name, safe=""), safe="").replace("%", "$")
