"""Failed attempts in words: what happened, and what a person can do."""

from __future__ import annotations

import re

from lambdas.notify.mail_context import MailContext
from lambdas.run_events import FORGOTTEN
from lambdas.runs import Run
from schemas.counted import agreeing, counted
from schemas.reject_reasons import WAITS_FOR
from schemas.reports import WAREHOUSE_INCOMPLETE, Report
from schemas.runs import runs_on_spark

# 10 is the exit code of Glue's own wrapper; 137 and -9 are the kernel's SIGKILL.
_OUT_OF_MEMORY = re.compile(r"exit code:? (?:10|137|-9)\b|SIGKILL|signal 9\b|out of memory|MemoryError", re.IGNORECASE)


def describe_failure(run: Run, report: Report | None) -> str:
    """The failure as a clause without a full stop, such as `the file has no column status`."""
    if report is not None:
        empty = _empty_dimension(report)
        if empty is not None:
            return f"{empty} is empty or has none of the file's ids, so {_all_rows(report.rows_read)} unknown"
        if report.error is not None:
            return report.error.sentence.rstrip(".")
    return _describe_crash(run)[0]


def what_to_do(context: MailContext) -> str:
    """The action that the reader must take."""
    report = context.report
    if report is None:
        return f"{_describe_crash(context.run)[1]}, then replay the load (command below)."
    empty = _empty_dimension(report)
    if report.waiting:
        missing = empty or "the missing customers and products"
        return f"upload {missing}. This file is then loaded automatically."
    if empty is not None:
        return f"upload {empty}, wait for the mail about it, then replay this load (command below)."
    if context.is_retraction:
        return "fix the cause, then ask for the retraction again."
    if report.error is not None and report.error.type == WAREHOUSE_INCOMPLETE:
        return (
            f"run `pulumi up --refresh --stack {context.stack}`, which keeps every row. Then replay the load (command "
            "below); the file need not be uploaded again."
        )
    if report.error is not None and report.error.is_transient:
        return "once the cause is over, replay the load (command below); the file need not be uploaded again."
    return "if the file is wrong, correct it and upload it again; if not, fix the cause and replay it (command below)."


def state_of_the_warehouse(context: MailContext) -> str:
    """The sentence that says whether anything of the drop was loaded."""
    if context.report is not None:
        return "Nothing of it was loaded."
    return "Whether its rows reached the warehouse is not known. A replay is safe: a row loaded twice stays one row."


def _all_rows(rows: int) -> str:
    return agreeing(rows, "its only row is", f"all {rows:,} rows are")


def _empty_dimension(report: Report) -> str | None:
    """The dimension that has none of the file's ids."""
    for reason, dimension in WAITS_FOR.items():
        rejected = report.reject_reasons.get(reason)
        if rejected is not None and 0 < report.rows_read <= rejected.rows:
            return dimension
    return None


def _describe_crash(run: Run) -> tuple[str, str]:
    """The end of a run that left no report, and how to prevent it."""
    if run.state == "TIMEOUT":
        limit = f" of {counted(run.timeout_minutes, 'minute')}" if run.timeout_minutes else ""
        return (
            f"the run exceeded the job's time limit{limit} and was ended before it could report",
            "give the job more time (`pulumi config set jobTimeoutMinutes MINUTES`, then `pulumi up`)",
        )
    if run.state == "STOPPED":
        return "the run was stopped before it could report", "check who stopped the run and why"
    if _OUT_OF_MEMORY.search(run.message):
        remedy = "give the job 1 DPU (`pulumi config set jobMaxCapacity 1`, then `pulumi up`)"
        if runs_on_spark(run.job_name):
            remedy = "load the file with one worker (`pulumi config set largeFileBytes 0`, then `pulumi up`)"
        return "the run needed more memory than it has and was ended before it could report", remedy
    if run.state == "SUCCEEDED":
        return "it may be loaded, but the run's report is missing or cannot be read", "read the run's log"
    if run.state == FORGOTTEN:
        return "the run left no report and Glue no longer knows it", "check that the Glue job exists"
    return f"the run ended as {run.state} before it could report", "read the run's message and log and fix the cause"
