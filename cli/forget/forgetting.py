"""Forgetting a customer: name and e-mail are removed from the warehouse and the buckets; customer_id and sales stay.

The command works in rounds until a round finds nothing. A run that was killed can be started again: redacted files
are not found a second time, and the sources of the person's addresses are redacted last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cli.forget.person import Person, addresses_in
from cli.forget.traces import PersonTraces, Trace
from cli.loads.loads import Loads
from cli.pipelines.pipeline import Pipeline
from cli.pipelines.statements import run_statement
from cli.refusals import Failed, Refused
from lambdas.leases import LeaseStore
from schemas.counted import counted
from schemas.warehouse.person import count_others_with_address, forget_person, select_person
from schemas.work_bucket import OPEN, forgotten_key, parse_open_key

_MOST_ROUNDS = 5


@dataclass
class Forgotten:
    """The objects in which the customer was found, and the action on each."""

    customer_id: str
    is_dry_run: bool
    traces: list[Trace] = field(default_factory=list)
    was_in_warehouse: bool = False
    """True when dim_customers had a name or an e-mail."""
    shared_addresses: int = 0
    """The number of addresses that another customer has too; they stay in that customer's rows."""
    note_uri: str | None = None

    @property
    def is_found(self) -> bool:
        return self.was_in_warehouse or bool(self.traces)

    def as_json(self) -> dict[str, Any]:
        """The shape `forget` of docs/commands.schema.json; it contains no name and no address."""
        return {
            "customer_id": self.customer_id,
            "dry_run": self.is_dry_run,
            "in_warehouse": self.was_in_warehouse,
            "id_is_address": "@" in self.customer_id,
            "shared_addresses": self.shared_addresses,
            "touched": [
                {
                    "uri": trace.version.uri,
                    "version_id": trace.version.version_id,
                    "action": trace.action,
                    "rows": trace.rows,
                }
                for trace in self.traces
            ],
            "note_uri": self.note_uri,
        }

    def __str__(self) -> str:
        if not self.is_found:
            return f"Nothing is left to forget of {self.customer_id}."
        done = "would be " if self.is_dry_run else ""
        lines = [f"{done}{trace.action}  {trace.version.uri}  {counted(trace.rows, 'row')}" for trace in self.traces]
        if self.was_in_warehouse:
            lines.append(f"{done}blanked  dim_customers  1 row")
        if "@" in self.customer_id:
            lines.append("The customer_id is an e-mail address itself. It stays, because the sales refer to it.")
        if self.shared_addresses:
            lines.append(
                f"{counted(self.shared_addresses, 'address')} of another customer too: kept in that customer's rows"
            )
        if self.note_uri:
            lines.append(f"{self.customer_id} is forgotten; this list, without personal data, is in {self.note_uri}")
        return "\n".join(lines)


def forget_customer(pipeline: Pipeline, customer_id: str, *, is_dry_run: bool) -> Forgotten:
    """Find the customer everywhere and, unless it is a dry run, forget them; raises Refused and Failed."""
    result = Forgotten(customer_id, is_dry_run)
    buckets = PersonTraces(pipeline)
    note = forgotten_key(customer_id, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    for turn in range(_MOST_ROUNDS):
        _refuse_while_loading(pipeline, has_begun=turn > 0)
        row = run_statement(pipeline, select_person(), limit=1, customer_id=customer_id).rows
        values = [str(value) for value in row[0] if value] if row else []
        person = _identify(pipeline, buckets, customer_id, values, result)
        result.was_in_warehouse |= bool(values)
        before = len(result.traces)
        for trace in buckets.find(person):
            if not is_dry_run:
                buckets.erase(trace, person)
            result.traces.append(trace)
            _keep_note(pipeline, result, note)
        if not row and not result.traces:
            raise Refused(f"no customer {customer_id!r} is known: neither dim_customers nor any file has one")
        if is_dry_run or not (values or len(result.traces) > before):
            _keep_note(pipeline, result, note)
            return result
        if values:
            run_statement(pipeline, forget_person(), limit=1, customer_id=customer_id)
    raise Failed(f"files that show {customer_id} keep arriving; run forget again when none is being loaded")


def _refuse_while_loading(pipeline: Pipeline, *, has_begun: bool) -> None:
    """Raises Refused or Failed while a load is open: it may have read a file that shows the customer."""
    loads = Loads(pipeline)
    leases = LeaseStore(pipeline.client("s3"), pipeline.output("work_bucket"))
    for load_id in sorted({parsed[0] for key in leases.names(OPEN) if (parsed := parse_open_key(key))}):
        load = loads.by_id(load_id)
        if load is not None and not load.status.is_settled:
            sentence = f"{load.status.file_name} (load {load_id}) is {load.status.phase.value}"
            if has_begun:
                raise Failed(f"{sentence} and may restore the customer; run forget again when it is over")
            raise Refused(f"{sentence}; wait until it is over, then forget the customer")


def _identify(
    pipeline: Pipeline, buckets: PersonTraces, customer_id: str, values: list[str], result: Forgotten
) -> Person:
    """The person, with the addresses from dim_customers and all files of customers that no other customer has."""
    known = addresses_in([*values, *buckets.addresses(Person(customer_id))])
    own: dict[str, str] = {}
    for address in sorted(known):
        own.setdefault(address.lower(), address)
    shared = [
        lowered
        for lowered, address in own.items()
        if run_statement(pipeline, count_others_with_address(), limit=1, customer_id=customer_id, address=address).rows[
            0
        ][0]
    ]
    result.shared_addresses = max(result.shared_addresses, len(shared))
    return Person(customer_id, frozenset(address for lowered, address in own.items() if lowered not in shared))


def _keep_note(pipeline: Pipeline, result: Forgotten, key: str) -> None:
    """Write the list of objects that were touched so far, so that a killed run leaves one too."""
    if result.is_dry_run or not result.is_found:
        return
    bucket = pipeline.output("work_bucket")
    result.note_uri = f"s3://{bucket}/{key}"
    body = json.dumps(result.as_json(), indent=2, ensure_ascii=False).encode("utf-8")
    pipeline.client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
