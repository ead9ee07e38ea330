"""A Lambda function with its own role and log group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_

from components.deployment import Deployment
from components.permissions import Statement, assume_role_policy, policy, send_to, write_logs
from components.pipeline_component import PipelineComponent
from components.refusals import require

PYTHON = "python3.13"

# CloudWatch Logs accepts these numbers of days and no others.
# fmt: off
LOG_RETENTIONS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The settings that all functions of a stack share."""

    code: pulumi.Archive
    powertools_layer_version: int
    log_retention_days: int

    def __post_init__(self) -> None:
        require(
            self.powertools_layer_version >= 1,
            "powertools_layer_version",
            self.powertools_layer_version,
            "the number of a published version, at least 1",
        )
        require(
            self.log_retention_days in LOG_RETENTIONS,
            "log_retention_days",
            self.log_retention_days,
            f"one of {', '.join(str(days) for days in LOG_RETENTIONS)}",
        )


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    deployment: Deployment
    runtime: Runtime
    package: str
    """The package below lambdas/ whose handler it runs, such as `start_run`."""
    description: str
    timeout_seconds: int
    environment: Mapping[str, pulumi.Input[str]]
    statements: Sequence[Statement]
    """The statements of its role, besides writing its own log."""
    memory_mb: int = 256
    failure_queue_arn: pulumi.Input[str] | None = None
    """The queue to which Lambda sends an asynchronous event that failed for good."""


class Function(PipelineComponent):
    """A function, its role and its log group."""

    package: str
    name: str
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.deployment, opts)
        short_name = args.package.replace("_", "-")
        function_name, tags, child = args.deployment.name(short_name), self._tags(short_name), self._child()
        self.package, self.name = args.package, function_name

        log = cloudwatch.LogGroup(
            name,
            # Lambda's own name for it. Lambda would create it without an expiry.
            name=f"/aws/lambda/{function_name}",
            retention_in_days=args.runtime.log_retention_days,
            tags=tags,
            opts=child,
        )
        role = iam.Role(name, assume_role_policy=assume_role_policy("lambda.amazonaws.com"), tags=tags, opts=child)
        statements = [*args.statements, write_logs(log.arn)]
        if args.failure_queue_arn is not None:
            statements.append(send_to(args.failure_queue_arn))
        rights = iam.RolePolicy(name, role=role.name, policy=policy(statements), opts=child)
        function = lambda_.Function(
            name,
            name=function_name,
            description=args.description,
            role=role.arn,
            runtime=PYTHON,
            architectures=["x86_64"],
            handler=f"lambdas.{args.package}.handler.handle",
            code=args.runtime.code,
            layers=[powertools_layer(args.deployment.region, args.runtime.powertools_layer_version)],
            timeout=args.timeout_seconds,
            memory_size=args.memory_mb,
            environment={
                "variables": {
                    "POWERTOOLS_SERVICE_NAME": args.package,
                    "POWERTOOLS_LOG_LEVEL": "INFO",
                    **args.environment,
                }
            },
            dead_letter_config=None if args.failure_queue_arn is None else {"target_arn": args.failure_queue_arn},
            tags=tags,
            opts=self._child(log, rights),
        )

        self.arn = function.arn
        self.register_outputs({"arn": self.arn})


def powertools_layer(region: str, version: int) -> str:
    """AWS's public layer, for the runtime and the architecture above."""
    runtime = PYTHON.replace(".", "")
    return f"arn:aws:lambda:{region}:017000801446:layer:AWSLambdaPowertoolsPythonV3-{runtime}-x86_64:{version}"
