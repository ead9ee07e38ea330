"""What the definition of the job of transactions fixes: the settings by which a deployed pipeline reads its files."""

from __future__ import annotations

from cli.pipelines.pipeline import Pipeline
from schemas.runs import JobArguments, decode_job_arguments


def read_job_arguments(pipeline: Pipeline) -> JobArguments:
    """The arguments as they are deployed now."""
    job = pipeline.client("glue").get_job(JobName=pipeline.output("transactions_job"))["Job"]
    return decode_job_arguments(job["NonOverridableArguments"])
