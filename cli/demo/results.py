"""The results that a demo leaves in its folder, read from S3, the warehouse and the topic at the end."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from cli.demo.large import large_loads
from cli.drops.progress import Progress
from cli.drops.status import DropStatus, Phase
from cli.loads.pages import save_index
from local.local_cloud import LocalCloud, Mail
from schemas.counted import counted
from schemas.counts import COUNTS
from schemas.drops import TRANSACTIONS
from schemas.reports import SUCCEEDED, Report
from schemas.runs import argument_name
from schemas.warehouse.tables import FACT_TRANSACTIONS, LOAD_LEDGER, Table
from schemas.work_bucket import REJECTED, REPORTS, STAGING

FACT_FILE = "fact_transactions.parquet"


@dataclass(frozen=True)
class Results:
    summary: dict[str, Any]
    complaints: list[str]
    """Faults that were found at the end, a sentence each; empty after a good run."""


def write_results(cloud: LocalCloud, out: Path, *, seen: list[DropStatus], seconds: float) -> Results:
    """Write everything a demo promises into its folder."""
    progress = Progress(cloud)
    mails = cloud.mails()
    archive = _archive(cloud)
    _download(cloud, REJECTED, out)
    _download(cloud, REPORTS, out)
    save_index(_reports(out), out)
    _write_mails(mails, out / "emails")
    fact = _table(cloud, FACT_TRANSACTIONS)
    fact.write_parquet(out / FACT_FILE)
    _table(cloud, LOAD_LEDGER).write_parquet(out / "load_ledger.parquet")
    (out / "archive.json").write_text(json.dumps(archive, indent=2) + "\n", encoding="utf-8")
    amount = fact["total_amount"].sum() if fact.height else Decimal(0)
    summary = {
        **_counted(seen),
        "fact_rows": fact.height,
        "fact_amount": f"{Decimal(str(amount)):.2f}",
        "seconds": round(seconds, 1),
        "emails": len(mails),
        "archived": len(archive),
        **({"large_loads": len(large_loads(cloud))} if cloud.outputs["large_job"] else {}),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return Results(summary, _complaints(cloud, progress, seen=seen, mails=mails, archived=len(archive)))


def _counted(seen: list[DropStatus]) -> dict[str, Any]:
    """The counts of the loaded transactions; of dimensions only the number of loads."""
    loaded = [status.report for status in seen if status.report is not None and status.report.outcome == SUCCEEDED]
    transactions = [report for report in loaded if report.kind == TRANSACTIONS]
    rows: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for report in transactions:
        rows.update(report.counts or {})
        reasons.update({reason: rejected.rows for reason, rejected in report.reject_reasons.items()})
    return {
        "loads": len(transactions),
        "dimension_loads": len(loaded) - len(transactions),
        "failed": sum(status.phase is Phase.FAILED for status in seen),
        **{count: rows[count] for count in COUNTS},
        "reject_reasons": dict(sorted(reasons.items())),
    }


def _complaints(
    cloud: LocalCloud, progress: Progress, *, seen: list[DropStatus], mails: list[Mail], archived: int
) -> list[str]:
    complaints = [
        f"{status.file_name} was not loaded: {status.summary}" for status in seen if status.phase is Phase.FAILED
    ]
    unsettled = [status for status in seen if not status.phase.is_settled]
    complaints += [f"{status.file_name} is still {status.phase.value}" for status in unsettled]
    left = len(progress.in_drop_bucket()) - sum(status.phase is Phase.FAILED for status in seen) - len(unsettled)
    if left > 0:
        complaints.append(f"{counted(left, 'file')} in the drop bucket will not be loaded")
    well = sum(status.phase is Phase.ARCHIVED for status in seen)
    if archived != well:
        complaints.append(f"the archive holds {counted(archived, 'file')}, but {counted(well, 'drop')} should be in it")
    readers = len({mail.to for mail in mails}) or 1
    if len(mails) != len(seen) * readers:
        complaints.append(f"{counted(len(seen), 'load')} led to {counted(len(mails), 'mail')}")
    if cloud.outputs["large_job"] and not large_loads(cloud):
        complaints.append("no file was large enough for the job on Spark; give --rows 5000000 --days 1")
    dead = cloud.queue("dead_letter_queue_url").all
    if dead:
        complaints.append(f"the dead-letter queue holds {counted(dead, 'message')}")
    return complaints


def _reports(out: Path) -> list[Report]:
    """Every report that was downloaded."""
    paths = sorted((out / REPORTS).rglob("*.json"))
    return [Report.from_json(path.read_text(encoding="utf-8")) for path in paths]


def _archive(cloud: LocalCloud) -> list[dict[str, Any]]:
    bucket = cloud.outputs["archive_bucket"]
    pages = cloud.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
    return [
        {
            "key": version["Key"],
            "version_id": version["VersionId"],
            "bytes": version["Size"],
            "etag": version["ETag"].strip('"'),
            "archived_at": version["LastModified"].isoformat(),
        }
        for page in pages
        for version in page.get("Versions", [])
    ]


def _download(cloud: LocalCloud, prefix: str, out: Path) -> None:
    s3, bucket = cloud.client("s3"), cloud.outputs["work_bucket"]
    (out / prefix).mkdir(parents=True, exist_ok=True)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            path = out / entry["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, entry["Key"], str(path))


def _write_mails(mails: list[Mail], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, mail in enumerate(mails, start=1):
        words = re.sub(r"[^A-Za-z0-9._-]+", "-", mail.subject).strip("-")[:80]
        text = f"To: {mail.to}\nSubject: {mail.subject}\n\n{mail.body}"
        (folder / f"{number:03}-{words}.txt").write_text(text, encoding="utf-8")


def _table(cloud: LocalCloud, table: Table) -> pl.DataFrame:
    """A whole table, read by UNLOAD and sorted by its key."""
    s3, bucket = cloud.client("s3"), cloud.outputs["work_bucket"]
    prefix = f"{STAGING}results/{table.name}/"
    columns = ", ".join(table.names)
    statement = (
        f"UNLOAD ('SELECT {columns} FROM {table.name}') TO 's3://{bucket}/{prefix}' "
        f"IAM_ROLE '{_copy_role(cloud)}' FORMAT AS PARQUET"
    )
    connection = cloud.connect()
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()
    frames = []
    for entry in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
        frames.append(pl.read_parquet(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()))
        s3.delete_object(Bucket=bucket, Key=entry["Key"])
    whole = pl.concat(frames) if frames else pl.DataFrame(schema=table.polars_schema())
    return whole.sort(table.key)


def _copy_role(cloud: LocalCloud) -> str:
    job = cloud.client("glue").get_job(JobName=cloud.outputs["transactions_job"])["Job"]
    return str(job["NonOverridableArguments"][argument_name("copy_role_arn")])
