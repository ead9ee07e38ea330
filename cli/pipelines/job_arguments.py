"""The arguments in the definition of the transactions job: the settings with which a stack reads its files."""

from __future__ import annotations

from cli.pipelines.pipeline import Pipeline
from schemas.runs import JobArguments, decode_job_arguments


def read_job_arguments(pipeline: Pipeline) -> JobArguments:
    """The arguments that are deployed now."""
    job = pipeline.client("glue").get_job(JobName=pipeline.output("transactions_job"))["Job"]
    return decode_job_arguments(job["NonOverridableArguments"])
