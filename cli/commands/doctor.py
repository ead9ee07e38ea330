"""`pipeline doctor`: checks for faults that keep a pipeline from working."""

from __future__ import annotations

from cli.invocation import Invocation, command
from cli.refusals import GOOD, NEEDS_A_LOOK


@command(on_pipeline=True)
def doctor(invocation: Invocation) -> None:
    """Check for faults that keep the pipeline from working.

    The exit status is 3 when a check finds a fault.
    """
    from cli.pipelines.checkups import examine

    findings = examine(invocation.pipeline)
    lines = [f"{'good' if finding.is_good else 'BAD '}  {finding.what}: {finding.advice}" for finding in findings]
    invocation.show({"findings": [vars(finding) for finding in findings]}, "\n".join(lines))
    invocation.end(GOOD if all(finding.is_good for finding in findings) else NEEDS_A_LOOK)
