"""The pipeline that a command works on: a stack on AWS, or the local one that `pipeline up` runs.

`--stack NAME` (or PIPELINE_STACK) means that stack on AWS, read from its Pulumi outputs.
Without it, or with `--stack local`, a command works on the local pipeline: commands in the
mails of the local pipeline contain `--stack local`.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3

from cli.pipelines.local import LOCAL_STACK, ROOT, LocalPipeline, find_local_pipeline
from cli.refusals import Refused

_PULUMI_SECONDS = 120
_LOCAL_LOOK_SECONDS, _AWS_LOOK_SECONDS = 0.5, 5.0
# Making clients from several threads at once is not safe.
_making_a_client = threading.Lock()


@dataclass(frozen=True)
class Pipeline:
    """A deployed pipeline: its outputs and how to reach its AWS."""

    name: str
    """Its name in sentences: `the stack prod`, `the local pipeline`."""
    outputs: Mapping[str, Any]
    session: Any
    """A boto3 session for its account and Region."""
    stack: str | None = None
    local: LocalPipeline | None = None
    """None for a pipeline on AWS."""
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def look_seconds(self) -> float:
        """The time between two requests for the state of something that is awaited."""
        return _LOCAL_LOOK_SECONDS if self.local else _AWS_LOOK_SECONDS

    @property
    def region(self) -> str:
        return str(self.session.region_name)

    @property
    def stack_option(self) -> str:
        """The option that makes a command work on this pipeline: ` --stack NAME`, or nothing."""
        return f" --stack {self.stack}" if self.stack else ""

    def output(self, name: str) -> str:
        """A stack output; raises Refused when the stack has none of this name."""
        if name not in self.outputs:
            raise Refused(f"{self.name} has no output {name}: an older program deployed it; run `pulumi up`")
        return str(self.outputs[name])

    def client(self, service: str) -> Any:
        with _making_a_client:
            if service not in self._clients:
                endpoint_url = self.local.url if self.local else None
                self._clients[service] = self.session.client(service, endpoint_url=endpoint_url)
            return self._clients[service]


def find_pipeline(stack: str | None) -> Pipeline:
    """The stack on AWS, or the local pipeline; raises Refused when there is none."""
    if stack not in (None, LOCAL_STACK):
        outputs = read_stack_outputs(stack)
        session = boto3.session.Session(region_name=_region_of(stack, outputs))
        return Pipeline(f"the stack {stack}", outputs, session, stack)
    local = find_local_pipeline(or_else=", or name a stack on AWS with --stack NAME")
    session = boto3.session.Session(
        aws_access_key_id=local.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=local.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=local.region,
    )
    return Pipeline("the local pipeline", local.outputs, session, local=local)


def read_stack_outputs(stack: str) -> dict[str, Any]:
    """The outputs of a stack, from `pulumi stack output --json`; raises Refused."""
    command = ["pulumi", "stack", "output", "--json", "--non-interactive", "--stack", stack, "--cwd", str(ROOT)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_PULUMI_SECONDS, check=False)
    except FileNotFoundError:
        raise Refused(
            f"the stack {stack!r} needs the Pulumi CLI, and no `pulumi` is on the PATH; install it from pulumi.com, "
            "or leave out --stack and unset PIPELINE_STACK to use the local pipeline"
        ) from None
    except subprocess.TimeoutExpired:
        raise Refused(f"`pulumi stack output` did not answer within {_PULUMI_SECONDS} seconds; try again") from None
    if ended.returncode != 0:
        errors = ended.stderr.strip().splitlines() or ["it gave no reason"]
        raise Refused(f"the outputs of the stack {stack!r} cannot be read: {errors[-1].removeprefix('error: ')}")
    try:
        outputs = json.loads(ended.stdout)
    except ValueError:
        outputs = None
    if not isinstance(outputs, dict):
        raise Refused(f"the outputs of the stack {stack!r} are not a JSON object, but {ended.stdout[:80]!r}")
    if not outputs:
        raise Refused(f"the stack {stack!r} has no outputs; deploy it with `pulumi up --stack {stack}`")
    return outputs


def _region_of(stack: str, outputs: Mapping[str, Any]) -> str:
    # arn:aws:sns:REGION:ACCOUNT:NAME
    parts = str(outputs.get("topic_arn", "")).split(":")
    if len(parts) < 6:
        raise Refused(f"the stack {stack!r} has no output topic_arn, which names its Region; run `pulumi up`")
    return parts[3]


def bucket_alone(bucket: str) -> Pipeline:
    """A pipeline on AWS of which only the drop bucket is known, reached with the caller's own sign-in."""
    return Pipeline(f"the pipeline of the bucket {bucket}", {"drop_bucket": bucket}, boto3.session.Session())
