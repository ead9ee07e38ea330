"""The log of a run, from CloudWatch Logs."""

from __future__ import annotations

from cli.loads.loads import Load
from cli.pipelines.pipeline import Pipeline
from cli.refusals import Refused
from schemas.runs import ERROR_LOG_GROUP, OUTPUT_LOG_GROUP, SPARK_OUTPUT_LOG_GROUP


def run_of(load: Load, attempt: int | None) -> str:
    """The run of the given attempt, or of the last one; raises Refused when there is none."""
    runs = {each.number: each.run_id for each in load.attempts if each.run_id is not None}
    if not runs:
        raise Refused(f"{load.status.file_name} has no run yet; it waits in the queue")
    number = attempt if attempt is not None else max(runs)
    if number not in runs:
        known = ", ".join(map(str, sorted(runs)))
        raise Refused(f"{load.status.file_name} has no attempt {number}; give --attempt one of these: {known}")
    return str(runs[number])


def read_log(pipeline: Pipeline, run_id: str) -> list[str]:
    """The lines of a run's log, in the order they were printed; none where it has printed nothing yet.

    Of a run on Spark those of its driver, which prints all that the job says.
    """
    client = pipeline.client("logs")
    lines: list[tuple[int, str]] = []
    for group, stream in (
        (OUTPUT_LOG_GROUP, run_id),
        (ERROR_LOG_GROUP, run_id),
        (SPARK_OUTPUT_LOG_GROUP, run_id),
        (SPARK_OUTPUT_LOG_GROUP, f"{run_id}-driver"),
    ):
        try:
            pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, logStreamNames=[stream])
            lines += [(event["timestamp"], event["message"].rstrip("\n")) for page in pages for event in page["events"]]
        except client.exceptions.ResourceNotFoundException:
            continue
    return [message for _, message in sorted(lines, key=lambda line: line[0])]
