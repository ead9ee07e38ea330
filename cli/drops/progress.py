"""The progress of drops on a local cloud of this process; each report is read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from cli.drops.status import DropStatus, drop_status
from local.local_cloud import LocalCloud
from local.moto_hooks import EmulatedRun
from schemas.drops import Drop
from schemas.reports import SUCCEEDED, Report
from schemas.retries import tries_of
from schemas.runs import decode_run
from schemas.work_bucket import claim_key, report_key


@dataclass
class Progress:
    """Reads the status of drops on a local cloud."""

    cloud: LocalCloud
    _reports: dict[tuple[str, int], Report] = field(default_factory=dict)

    def look(self, drops: list[Drop]) -> list[DropStatus]:
        """The status of each drop, in the given order."""
        runs: dict[Drop, tuple[int, EmulatedRun]] = {}
        for run in self.cloud.runs():
            arguments = decode_run(run.arguments)
            if arguments is not None and arguments.attempt >= runs.get(arguments.drop, (0, run))[0]:
                runs[arguments.drop] = (arguments.attempt, run)
        present = self.in_drop_bucket()
        return [self._status(drop, runs, present) for drop in drops]

    def in_drop_bucket(self) -> set[Drop]:
        """Every version in the drop bucket."""
        bucket = self.cloud.outputs["drop_bucket"]
        pages = self.cloud.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
        return {
            Drop(bucket, version["Key"], version["VersionId"]) for page in pages for version in page.get("Versions", [])
        }

    def report(self, load_id: str, attempt: int) -> Report | None:
        """The report of an attempt, once it is written."""
        known = self._reports.get((load_id, attempt))
        if known is not None:
            return known
        text = self._text(report_key(load_id, attempt))
        return None if text is None else self._reports.setdefault((load_id, attempt), Report.from_json(text))

    def _status(self, drop: Drop, runs: Mapping[Drop, tuple[int, EmulatedRun]], present: set[Drop]) -> DropStatus:
        if drop not in runs:
            return drop_status(drop, attempt=0, tries=0, state=None, report=None, message="", is_in_drop_bucket=True)
        attempt, run = runs[drop]
        # The state first: a run that ends between the two reads has written its report by then.
        state, message = run.status, run.error_message
        report = self.report(drop.load_id, attempt)
        is_loaded = report is not None and report.outcome == SUCCEEDED
        return drop_status(
            drop,
            attempt=attempt,
            tries=attempt if is_loaded else self._tries(drop.load_id, attempt),
            state=state,
            report=report,
            message=message,
            is_in_drop_bucket=drop in present,
        )

    def _tries(self, load_id: str, attempt: int) -> int:
        claim = self._text(claim_key(load_id, attempt))
        return tries_of({"attempt": attempt, **json.loads(claim or "{}")})

    def _text(self, key: str) -> str | None:
        """An object of the work bucket; None when it is not there."""
        try:
            where = {"Bucket": self.cloud.outputs["work_bucket"], "Key": key}
            body = self.cloud.client("s3").get_object(**where)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return str(body.decode("utf-8"))
