"""SQL statements, sent to the warehouse through the Redshift Data API, which needs no network into the VPC."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cli.pipelines.pipeline import Pipeline
from cli.refusals import Failed
from schemas.counted import counted

_LOOK_SECONDS = 0.2
_WIDEST = 40
_ENDS = ("\\q", "quit", "exit")
"""Lines that end a session, as in psql and elsewhere."""


@dataclass(frozen=True)
class Result:
    """The result of a statement."""

    columns: list[str]
    rows: list[list[Any]]
    affected: int | None
    """The number of changed rows; None for a statement that returns or changes no rows."""
    is_cut: bool
    """True when the statement returned more rows than the limit."""

    def as_json(self) -> dict[str, Any]:
        return {"columns": self.columns, "rows": self.rows, "affected": self.affected, "is_cut": self.is_cut}


def run_statement(pipeline: Pipeline, statement: str, *, limit: int, **parameters: str) -> Result:
    """Run one statement as the admin user; `:name` in it is a parameter. Raises Failed with the warehouse's message.

    Ctrl-C cancels the statement in the warehouse.
    """
    client = pipeline.client("redshift-data")
    started = client.execute_statement(
        WorkgroupName=pipeline.output("workgroup"),
        Database=pipeline.output("database"),
        Sql=statement,
        **(
            {"Parameters": [{"name": name, "value": value} for name, value in parameters.items()]} if parameters else {}
        ),
        **_sign_in(pipeline),
    )
    try:
        described = _wait_for(client, started["Id"])
    except KeyboardInterrupt:
        # Refused where the statement has ended meanwhile.
        with suppress(ClientError):
            client.cancel_statement(Id=started["Id"])
        raise
    if not described.get("HasResultSet"):
        # -1 for a statement that is not about rows, such as DROP TABLE.
        changed = int(described.get("ResultRows", 0))
        return Result([], [], changed if changed >= 0 else None, False)
    return _rows(client, started["Id"], limit)


def _wait_for(client: Any, statement_id: str) -> dict[str, Any]:
    """The description of a statement that has finished."""
    while True:
        described: dict[str, Any] = client.describe_statement(Id=statement_id)
        if described["Status"] == "FINISHED":
            return described
        if described["Status"] == "ABORTED":
            raise Failed("the statement was cancelled, and nothing was changed")
        if described["Status"] == "FAILED":
            raise Failed(f"the warehouse refused the statement: {described.get('Error', 'it gave no reason')}")
        time.sleep(_LOOK_SECONDS)


def are_typed() -> bool:
    """True when a person types the statements, who reads an error and goes on."""
    return sys.stdin.isatty()


def read_statements() -> Iterator[str]:
    """Statements from standard input, each up to its semicolon, until its end or a line that says to quit; shows a
    prompt on a terminal."""
    pending = ""
    while True:
        line = _read_line("    -> " if pending else "sql -> ")
        if not pending and line.strip().rstrip(";").lower() in _ENDS:
            return
        pending += line
        if pending.strip() and (not line or pending.rstrip().endswith(";")):
            yield pending.strip().removesuffix(";")
            pending = ""
        if not line:
            return


def _read_line(prompt: str) -> str:
    """A line with its end; empty at the end of standard input."""
    if not are_typed():
        return sys.stdin.readline()
    line = ""
    try:
        print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
    finally:
        # Ctrl-C and Ctrl-D leave the cursor behind the prompt.
        if not line:
            print(file=sys.stderr)
    return line


def result_text(result: Result) -> str:
    """The rows in columns, wide values cut."""
    if result.affected is not None:
        return counted(result.affected, "row")
    if not result.columns:
        return "done"
    cells = [result.columns, *([("" if value is None else str(value)) for value in row] for row in result.rows)]
    widths = [min(_WIDEST, max(len(row[column]) for row in cells)) for column in range(len(result.columns))]
    lines = ["  ".join(_fit(text, width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    more = "; there are more, --limit shows them" if result.is_cut else ""
    return "\n".join([*lines, f"({counted(len(result.rows), 'row')}{more})"])


def _fit(text: str, width: int) -> str:
    text = " ".join(text.split())
    return f"{text[: width - 1]}…" if len(text) > width else text.ljust(width)


def _rows(client: Any, statement_id: str, limit: int) -> Result:
    columns: list[str] = []
    rows: list[list[Any]] = []
    token: dict[str, str] = {}
    while True:
        page = client.get_statement_result(Id=statement_id, **token)
        columns = [column["name"] for column in page["ColumnMetadata"]]
        rows += [[_value(field) for field in record] for record in page["Records"]]
        if not page.get("NextToken") or len(rows) > limit:
            return Result(columns, rows[:limit], None, len(rows) > limit)
        token = {"NextToken": page["NextToken"]}


def _value(field: dict[str, Any]) -> Any:
    """The value of a Data API field, which has exactly one key, named after its type."""
    return None if field.get("isNull") else next(iter(field.values()))


def _sign_in(pipeline: Pipeline) -> dict[str, str]:
    """The admin's secret on AWS, which Redshift keeps; nothing for the local Data API, which knows its operator."""
    if pipeline.local is not None:
        return {}
    serverless = pipeline.client("redshift-serverless")
    workgroup = serverless.get_workgroup(workgroupName=pipeline.output("workgroup"))["workgroup"]
    namespace = serverless.get_namespace(namespaceName=workgroup["namespaceName"])["namespace"]
    return {"SecretArn": namespace["adminPasswordSecretArn"]}
