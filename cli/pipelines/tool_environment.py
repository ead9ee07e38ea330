"""The environment variables with which the AWS CLI, psql and others reach a pipeline."""

from __future__ import annotations

from cli.pipelines.pipeline import Pipeline

_OUTPUTS = {
    "DROP_BUCKET": "drop_bucket",
    "WORK_BUCKET": "work_bucket",
    "ARCHIVE_BUCKET": "archive_bucket",
    "QUEUE_URL": "queue_url",
    "WORKGROUP": "workgroup",
}


def tool_environment(pipeline: Pipeline) -> dict[str, str]:
    """Variable -> value; no keys for a stack on AWS, which is reached with the caller's own sign-in."""
    variables = {"AWS_REGION": pipeline.region, "AWS_DEFAULT_REGION": pipeline.region}
    if pipeline.local is not None:
        variables |= pipeline.local.environment
    elif pipeline.stack is not None:
        variables["PIPELINE_STACK"] = pipeline.stack
    return variables | {name: pipeline.output(output) for name, output in _OUTPUTS.items()}
