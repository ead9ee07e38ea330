"""The Redshift Data API over the warehouse's real tables.

Statements run in the background, as on AWS: ExecuteStatement returns an id, DescribeStatement
returns the status, GetStatementResult returns the rows. With a secret they run as the admin
user, without one as the caller's database user. Results are kept until the process ends.
Shapes and errors: https://docs.aws.amazon.com/redshift-data/latest/APIReference/
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from redshift_connector.error import Error as DriverError

from local.api.aws_requests import AwsRequest
from local.api.iam_middleware import Refused
from local.api.program_warehouse import ProgramWarehouse

ROWS_PER_PAGE = 1000
# AWS runs at most 500 at once; the warehouse on this machine has fewer connections.
_AT_ONCE = 8

_TYPE_NAMES = {
    16: "bool",
    20: "int8",
    21: "int2",
    23: "int4",
    700: "float4",
    701: "float8",
    1700: "numeric",
    19: "name",
    25: "text",
    1042: "bpchar",
    1043: "varchar",
    1082: "date",
    1114: "timestamp",
    1184: "timestamptz",
}


@dataclass
class _Execution:
    """One call of ExecuteStatement or BatchExecuteStatement, with its status and results."""

    id: str
    database: str
    workgroup: str
    texts: Sequence[str]
    parameters: Sequence[Mapping[str, str]]
    is_batch: bool
    secret_arn: str | None
    created_at: float = field(default_factory=time.time)
    updated_at: float = field(default_factory=time.time)
    status: str = "SUBMITTED"
    error: str = ""
    is_cancelled: bool = False
    backend: int | None = None
    """The process id of its session in the warehouse, while it runs."""
    statements: list[_Result] = field(default_factory=list)


@dataclass
class _Result:
    """One statement's state, and its rows when it returns any."""

    status: str = "SUBMITTED"
    error: str = ""
    columns: Sequence[Sequence[Any]] | None = None
    rows: Sequence[Sequence[Any]] = ()
    row_count: int = -1


class DataApi:
    """Handles the requests of one account to `redshift-data`."""

    def __init__(self, warehouse: ProgramWarehouse) -> None:
        self._warehouse = warehouse
        self._executions: dict[str, _Execution] = {}
        self._by_token: dict[str, _Execution] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="data-api")

    def respond(self, request: AwsRequest) -> Mapping[str, Any]:
        """The response to one request; raises Refused with AWS's error code."""
        operations = {
            "ExecuteStatement": lambda: self._execute(request, [request.parameters.get("Sql", "")]),
            "BatchExecuteStatement": lambda: self._execute(request, request.parameters.get("Sqls", ())),
            "DescribeStatement": lambda: self._describe(request.parameters["Id"]),
            "GetStatementResult": lambda: self._result(request.parameters["Id"], request.parameters.get("NextToken")),
            "CancelStatement": lambda: self._cancel(request.parameters["Id"]),
            "ListStatements": self._list,
        }
        if request.operation not in operations:
            known = ", ".join(operations)
            raise Refused("ValidationException", f"the local Data API supports {known}, but not {request.operation}")
        return operations[request.operation]()

    def stop(self) -> None:
        """Start no more statements; a running one ends with its connection when the warehouse stops."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _execute(self, request: AwsRequest, texts: Sequence[str]) -> Mapping[str, Any]:
        parameters = request.parameters
        if not texts or not all(text.strip() for text in texts):
            raise Refused("ValidationException", "the request holds no SQL statement")
        self._warehouse.authorize(request, f"redshift-data:{request.operation}", parameters.get("WorkgroupName", ""))
        user = None
        if not parameters.get("SecretArn"):
            self._warehouse.authorize(request, "redshift-serverless:GetCredentials", parameters["WorkgroupName"])
            user = self._warehouse.database_user(str(request.access_key))
        with self._lock:
            execution = self._by_token.get(parameters.get("ClientToken", ""))
            if execution is None:
                execution = _Execution(
                    id=str(uuid.uuid4()),
                    database=parameters["Database"],
                    workgroup=parameters["WorkgroupName"],
                    texts=tuple(texts),
                    parameters=parameters.get("Parameters", ()),
                    is_batch=request.operation == "BatchExecuteStatement",
                    secret_arn=parameters.get("SecretArn"),
                    statements=[_Result() for _ in texts],
                )
                self._executions[execution.id] = execution
                if parameters.get("ClientToken"):
                    self._by_token[parameters["ClientToken"]] = execution
                self._pool.submit(self._run, execution, user)
        return {
            "Id": execution.id,
            "CreatedAt": execution.created_at,
            "Database": execution.database,
            "WorkgroupName": execution.workgroup,
            **({"SecretArn": execution.secret_arn} if execution.secret_arn else {}),
        }

    def _run(self, execution: _Execution, user: str | None) -> None:
        """Run the statements in one transaction; the first error rolls it back."""
        execution.status = "STARTED"
        try:
            connection = self._warehouse.connect(execution.database, user=user)
            try:
                # A single statement autocommits, because VACUUM and some procedures require it.
                connection.autocommit = not execution.is_batch
                execution.backend = _backend(connection)
                for text, result in zip(execution.texts, execution.statements, strict=True):
                    if execution.is_cancelled:
                        break
                    _run_one(connection.cursor(), text, execution.parameters, result)
                if execution.is_batch:
                    connection.commit()
            finally:
                execution.backend = None
                connection.close()
        except Exception as error:
            execution.error = _sentence(error)
            _abort(execution.statements, execution.error)
        execution.updated_at = time.time()
        execution.status = "ABORTED" if execution.is_cancelled else "FAILED" if execution.error else "FINISHED"

    def _cancel(self, statement_id: str) -> Mapping[str, Any]:
        """End a statement that runs; Refused, as on AWS, where it has ended."""
        execution, _ = self._find(statement_id)
        if execution.status not in ("SUBMITTED", "STARTED"):
            raise Refused(
                "ValidationException",
                f"Could not cancel a query that is already in {execution.status} state with ID: {execution.id}",
            )
        execution.is_cancelled = True
        if execution.backend is not None:
            connection = self._warehouse.connect(execution.database)
            try:
                connection.cursor().execute("SELECT pg_cancel_backend(%s)", (execution.backend,))
            finally:
                connection.close()
        return {"Status": True}

    def _describe(self, statement_id: str) -> Mapping[str, Any]:
        execution, number = self._find(statement_id)
        if number is not None:
            return _described(execution, execution.statements[number], f"{execution.id}:{number + 1}")
        last = execution.statements[-1]
        common = {
            "Id": execution.id,
            "Database": execution.database,
            "WorkgroupName": execution.workgroup,
            "Status": execution.status,
            "CreatedAt": execution.created_at,
            "UpdatedAt": execution.updated_at,
            "Duration": round((execution.updated_at - execution.created_at) * 1e9),
            "ResultFormat": "JSON",
            **({"SecretArn": execution.secret_arn} if execution.secret_arn else {}),
            **({"Error": execution.error} if execution.error else {}),
        }
        if not execution.is_batch:
            rows = {"HasResultSet": last.columns is not None, "ResultRows": last.row_count, "ResultSize": 0}
            return {**common, "QueryString": execution.texts[0], **rows}
        parts = [
            _described(execution, result, f"{execution.id}:{position}")
            for position, result in enumerate(execution.statements, start=1)
        ]
        return {**common, "HasResultSet": any(part["HasResultSet"] for part in parts), "SubStatements": parts}

    def _result(self, statement_id: str, next_token: str | None) -> Mapping[str, Any]:
        execution, number = self._find(statement_id)
        if execution.status not in ("FINISHED", "FAILED"):
            raise Refused("ResourceNotFoundException", f"the statement {statement_id} is {execution.status}")
        result = execution.statements[number or 0]
        if result.columns is None:
            raise Refused("ResourceNotFoundException", "Query does not have result. Please check query status.")
        first = int(next_token or 0)
        page = result.rows[first : first + ROWS_PER_PAGE]
        more = first + len(page) < len(result.rows)
        return {
            "Records": [[_field(value) for value in row] for row in page],
            "ColumnMetadata": [_column(column) for column in result.columns],
            "TotalNumRows": len(result.rows),
            **({"NextToken": str(first + len(page))} if more else {}),
        }

    def _list(self) -> Mapping[str, Any]:
        newest_first = sorted(self._executions.values(), key=lambda execution: execution.created_at, reverse=True)
        return {
            "Statements": [
                {
                    "Id": execution.id,
                    "Status": execution.status,
                    "CreatedAt": execution.created_at,
                    "UpdatedAt": execution.updated_at,
                    "IsBatchStatement": execution.is_batch,
                    "QueryString": execution.texts[0],
                }
                for execution in newest_first
            ]
        }

    def _find(self, statement_id: str) -> tuple[_Execution, int | None]:
        """The execution with this id, and the index of its statement where the id has a number, as in `…:2`."""
        name, _, position = statement_id.partition(":")
        execution = self._executions.get(name)
        if execution is None or (position and not 1 <= int(position) <= len(execution.statements)):
            raise Refused("ResourceNotFoundException", f"Query {statement_id} does not exist.")
        return execution, int(position) - 1 if position else None


def _backend(connection: Any) -> int:
    """The process id of the session in the warehouse."""
    cursor = connection.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    return int(cursor.fetchone()[0])


def _run_one(cursor: Any, text: str, parameters: Sequence[Mapping[str, str]], result: _Result) -> None:
    result.status = "STARTED"
    if parameters:
        cursor.paramstyle = "named"
        cursor.execute(text, {parameter["name"]: parameter["value"] for parameter in parameters})
    else:
        cursor.execute(text)
    if cursor.description is not None:
        result.columns, result.rows = cursor.description, cursor.fetchall()
        result.row_count = len(result.rows)
    else:
        result.row_count = cursor.rowcount
    result.status = "FINISHED"


def _abort(statements: Sequence[_Result], error: str) -> None:
    """Mark the statement that failed, with its error, and those after it, which never ran."""
    unfinished = [result for result in statements if result.status != "FINISHED"]
    for position, result in enumerate(unfinished):
        result.status, result.error = ("ABORTED", "") if position else ("FAILED", error)


def _described(execution: _Execution, result: _Result, statement_id: str) -> dict[str, Any]:
    return {
        "Id": statement_id,
        "Status": result.status,
        "QueryString": execution.texts[int(statement_id.rpartition(":")[2]) - 1],
        "CreatedAt": execution.created_at,
        "UpdatedAt": execution.updated_at,
        "HasResultSet": result.columns is not None,
        "ResultRows": result.row_count,
        **({"Error": result.error} if result.error else {}),
    }


def _sentence(error: Exception) -> str:
    """Redshift's message for an error of the warehouse, else the type and text of the error."""
    fields = error.args[0] if isinstance(error, DriverError) and error.args else None
    if not isinstance(fields, Mapping):
        return f"{type(error).__name__}: {error}"
    detail = f"\n  Detail: {fields['D']}" if fields.get("D") else ""
    return f"ERROR: {fields.get('M', '')}{detail}"


def _field(value: Any) -> dict[str, Any]:
    """A value as a Field of the Data API, which has decimals, dates and times as text."""
    if value is None:
        return {"isNull": True}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"longValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, datetime):
        text = value.isoformat(sep=" ")
        return {"stringValue": text.rstrip("0") if value.microsecond and value.tzinfo is None else text}
    if isinstance(value, (date, Decimal)):
        return {"stringValue": str(value)}
    return {"stringValue": str(value)}


def _column(column: Sequence[Any]) -> dict[str, Any]:
    name = column[0].decode() if isinstance(column[0], bytes) else str(column[0])
    type_name = _TYPE_NAMES.get(column[1], "varchar")
    return {
        "name": name,
        "label": name,
        "typeName": type_name,
        "nullable": 1,
        "isSigned": type_name in ("int2", "int4", "int8", "float4", "float8", "numeric"),
        "isCaseSensitive": type_name in ("varchar", "bpchar", "text", "name"),
        "isCurrency": False,
        "precision": 0,
        "scale": 0,
        "length": 0,
    }
