"""A metric, published as a line in the function's log (CloudWatch's embedded metric format)."""

from __future__ import annotations

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from schemas.metrics import NAMESPACE, STACK


def put_metric(stack: str, name: str, value: float) -> None:
    """Publish one value of a metric (schemas.metrics) of the stack."""
    with single_metric(
        name=name, unit=MetricUnit.NoUnit, value=value, namespace=NAMESPACE, default_dimensions={STACK: stack}
    ):
        pass
