"""The comparisons of `pipeline prove`: table, archive and alarms of a deployed pipeline with the expected ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from cli.pipelines.pipeline import Pipeline
from cli.pipelines.statements import run_statement
from cli.prove.files import ProofFiles
from cli.prove.throwaway_stack import PROJECT
from lambdas.archived_copies import SOURCE_VERSION_ID
from schemas.drops import Drop

_MOST_ROWS = 100_000


def table_faults(pipeline: Pipeline, files: ProofFiles) -> str | None:
    """One sentence about rows of `fact_transactions` that are not as expected; None when all are."""
    actual, expected = read_fact(pipeline, files.fact.columns), files.fact
    missing, surplus = (
        expected.join(actual, on=expected.columns, how="anti"),
        actual.join(expected, on=expected.columns, how="anti"),
    )
    if not missing.height and not surplus.height:
        return None
    first = (missing if missing.height else surplus).item(0, "transaction_id")
    return f"{missing.height} expected rows are not in the table and {surplus.height} others are; the first is {first}"


def read_fact(pipeline: Pipeline, columns: list[str]) -> pl.DataFrame:
    """The table, read through the Data API, every value as text; `source_key` is the key in `source_uri`."""
    bucket = pipeline.output("drop_bucket")
    special = {
        "transaction_date": "TO_CHAR(transaction_date, 'YYYY-MM-DD HH24:MI:SS')",
        "source_key": f"REPLACE(source_uri, 's3://{bucket}/', '')",
    }
    selected = ", ".join(special.get(column, f"CAST({column} AS VARCHAR(256))") for column in columns)
    result = run_statement(pipeline, f"SELECT {selected} FROM fact_transactions", limit=_MOST_ROWS)
    return pl.DataFrame(result.rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def archive_faults(pipeline: Pipeline, folder: Path, loaded: Mapping[Drop, str]) -> list[str]:
    """A sentence for each upload without an exact copy in the archive; `loaded` maps drops to files in the folder."""
    s3, bucket = pipeline.client("s3"), pipeline.output("archive_bucket")
    copies: dict[tuple[str, str], bytes] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in page.get("Versions", []):
            copy = s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
            copies[version["Key"], copy["Metadata"].get(SOURCE_VERSION_ID, "")] = copy["Body"].read()
    faults = []
    for drop, key in loaded.items():
        content = copies.get((drop.key, drop.version_id))
        if content is None:
            faults.append(f"{drop.uri} is not in the archive")
        elif content != (folder / key).read_bytes():
            faults.append(f"the archive's copy of {drop.uri} differs from the upload")
    return faults


def alarms_that_ring(pipeline: Pipeline, stack: str) -> list[str]:
    """Names of the stack's alarms whose state is ALARM."""
    pages = pipeline.client("cloudwatch").get_paginator("describe_alarms")
    alarms = [alarm for page in pages.paginate(AlarmNamePrefix=f"{PROJECT}-{stack}-") for alarm in page["MetricAlarms"]]
    return [alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] == "ALARM"]
