"""OpenLineage events: they report to a lineage tool what an attempt read and wrote. A failure here does not change the
load's outcome.

An attempt is sent once it is over, as START and COMPLETE or FAIL: a run that died is known only then, and the job
itself cannot reach the internet. Datasets are named by the rules of https://openlineage.io/docs/spec/naming/.
"""

from __future__ import annotations

import json
import threading
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

from lambdas.notify.failures import describe_failure
from lambdas.runs import Run
from schemas.drops import CUSTOMERS, PRODUCTS, TRANSACTIONS, Drop, parse_key
from schemas.lineage import COLUMN_SOURCES, DROP, TARGETS
from schemas.reports import SUCCEEDED, Report
from schemas.settings import NotifySettings

TIMEOUT_SECONDS = 10.0
"""The timeout for both events together. The mail is already sent then, so nothing waits for it."""
_PRODUCER = "urn:transactions-pipeline"
_SPEC = "https://openlineage.io/spec"
_SCHEMA = "public"

_Json = dict[str, Any]


@dataclass(frozen=True)
class AttemptLineage:
    """An attempt that is over."""

    settings: NotifySettings
    run: Run
    drop: Drop
    attempt: int
    report: Report | None

    def send(self) -> None:
        """Send both events; raises OSError if the endpoint does not accept them in time."""
        bodies, failures = [json.dumps(event).encode() for event in self.events()], list[str]()
        # A socket's timeout starts again with every byte, so a thread is waited for: an endpoint can hold up nothing.
        sender = threading.Thread(target=self._post, args=(bodies, failures), name="lineage", daemon=True)
        sender.start()
        sender.join(TIMEOUT_SECONDS)
        if sender.is_alive():
            raise TimeoutError(f"it did not answer within {TIMEOUT_SECONDS:g} seconds")
        if failures:
            raise ConnectionError(failures[0])

    def _post(self, bodies: Sequence[bytes], failures: list[str]) -> None:
        """Send each body; the first failure ends it."""
        try:
            for body in bodies:
                url, headers = self.settings.open_lineage_url, {"Content-Type": "application/json"}
                request = urllib.request.Request(url, data=body, headers=headers, method="POST")
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
                    pass
        except (OSError, ValueError, HTTPException) as failure:
            failures.append(str(failure) or type(failure).__name__)

    def events(self) -> tuple[_Json, _Json]:
        """START, and COMPLETE or FAIL, of one run id: the same attempt always has the same."""
        now = datetime.now(UTC).isoformat()
        started, ended = (self.report.started_at, self.report.finished_at) if self.report else (now, now)
        if self.report is not None and self.report.outcome == SUCCEEDED:
            return self._event("START", started), self._event("COMPLETE", ended)
        words = {"message": describe_failure(self.run, self.report), "programmingLanguage": "Python"}
        error = {"errorMessage": _facet("ErrorMessageRunFacet", "1-0-1", words)}
        return self._event("START", started), self._event("FAIL", ended, error)

    def _event(self, kind: str, time: str, run_facets: _Json | None = None) -> _Json:
        run_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.settings.environment}/{self.drop.load_id}/{self.attempt}")
        return {
            "eventType": kind,
            "eventTime": time,
            "producer": _PRODUCER,
            "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": {"runId": str(run_id), "facets": run_facets or {}},
            "job": {"namespace": self.settings.environment, "name": self.run.job_name, "facets": {}},
            "inputs": [self._input(source) for source in self._sources],
            "outputs": [self._output(is_written=kind == "COMPLETE")],
        }

    @property
    def _kind(self) -> str:
        return parse_key(self.drop.key).kind

    @property
    def _sources(self) -> tuple[str, ...]:
        return (DROP, PRODUCTS, CUSTOMERS) if self._kind == TRANSACTIONS else (DROP,)

    def _input(self, source: str) -> _Json:
        facets: _Json = {}
        if source == DROP:
            version = {"datasetVersion": self.drop.version_id}
            facets["version"] = _facet("DatasetVersionDatasetFacet", "1-0-1", version)
        return {**self._dataset(source), "facets": facets}

    def _output(self, *, is_written: bool) -> _Json:
        target = TARGETS[self._kind]
        fields = {
            column: {"inputFields": [{**self._dataset(source), "field": field} for source, field in sources]}
            for column, sources in COLUMN_SOURCES[target].items()
        }
        lineage = _facet("ColumnLineageDatasetFacet", "1-2-0", {"fields": fields})
        output = {**self._dataset(target), "facets": {"columnLineage": lineage}}
        counts = self.report.counts if self.report is not None else None
        if is_written and counts is not None:
            written = {"rowCount": max(counts["inserted"], 0) + max(counts["updated"], 0)}
            statistics = _facet("OutputStatisticsOutputDatasetFacet", "1-0-2", written)
            output["outputFacets"] = {"outputStatistics": statistics}
        return output

    def _dataset(self, name: str) -> _Json:
        if name == DROP:
            return {"namespace": f"s3://{self.drop.bucket}", "name": self.drop.key}
        namespace, _, database = self.settings.warehouse.rpartition("/")
        return {"namespace": namespace, "name": f"{database}.{_SCHEMA}.{name}"}


def _facet(name: str, version: str, content: _Json) -> _Json:
    return {"_producer": _PRODUCER, "_schemaURL": f"{_SPEC}/facets/{version}/{name}.json#/$defs/{name}", **content}
