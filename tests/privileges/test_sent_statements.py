"""Every statement the warehouse is ever sent: by `pulumi up`, by the jobs, by the driver on their behalf."""

from __future__ import annotations

import logging
import re

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from jobs.load.rendering import rendered
from redshift_emulator import refusals
from redshift_emulator.tokens import statements, unquoted
from schemas.warehouse import ddl, sql
from schemas.warehouse.tables import DIMENSIONS, STAGED_TRANSACTIONS
from tests.privileges.probes import load_a_dimension, load_transactions
from tests.privileges.stack import CUSTOMERS, PRODUCTS, Stack

pytestmark = pytest.mark.flow

BY_THE_DRIVER = {"begin transaction", "commit", "rollback"}
"""Statements that the driver sends itself; the rendered files show the first two as `BEGIN` and `COMMIT`."""

BY_THE_LOCAL_DATA_API = {"SELECT pg_backend_pid()"}
"""It asks for its session, so that a statement can be cancelled; AWS needs no statement for that."""

UNKNOWN_TO_SQLGLOT = ("CALL ", "COPY ", "CREATE OR REPLACE PROCEDURE ", "GRANT ", "LOCK ", "UNLOAD ")
"""Only redshift_emulator's own readers check these; sqlglot accepts any text in such a statement."""


@pytest.fixture(scope="module")
def sent(stack: Stack) -> list[str]:
    """Each different statement once, of the deployment and of every kind of load, each of them done twice."""
    for _ in range(2):
        for kind in (PRODUCTS, CUSTOMERS):
            load_a_dimension(stack, kind)
        load_transactions(stack)
    return sorted(set(stack.statements))


def shape(statement: str) -> str:
    """Without what differs from stack to stack and from load to load: literals, numbers, binds, users."""
    text = re.sub(r"\$\d+|%s", "?", statement)
    text = re.sub(r'"IAMR:[^"]*"', '"IAMR"', text)
    text = re.sub(r"'(?:[^']|'')*'", lambda match: match[0] if match[0].startswith("'SELECT ") else "''", text)
    text = re.sub(r"(?<=TO )\d+", "0", " ".join(text.split()))
    # One INSERT books as many rows as there are.
    return re.sub(r"(\([?, ]+\))(?:, \1)+", r"\1", text)


def reviewed() -> dict[str, str]:
    """The shape of every rendered statement, and the file it is in."""
    return {
        shape(statement): name
        for name, script in rendered().items()
        # A procedure holds semicolons of its own, none of them ahead of a blank line.
        for statement in script.removesuffix(";\n").split(";\n\n")
    }


def test_redshift_takes_every_statement_sent(sent: list[str]) -> None:
    assert len(sent) > 30
    assert {statement: refused for statement in sent if (refused := refusals(statement))} == {}


def test_every_statement_sent_parses_as_redshift(sent: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="sqlglot")
    opaque = []
    for statement in sent:
        (tree,) = sqlglot.parse(re.sub(r"\$\d+", "NULL", statement), read="redshift")
        if isinstance(tree, exp.Command):
            opaque.append(statement)
    assert [statement for statement in opaque if not statement.startswith(UNKNOWN_TO_SQLGLOT)] == []


def test_every_statement_sent_is_one_that_was_reviewed(sent: list[str]) -> None:
    known = reviewed()
    assert [s for s in sent if shape(s) not in known and s not in BY_THE_DRIVER | BY_THE_LOCAL_DATA_API] == []


def test_every_statement_of_a_deployment_that_was_reviewed_is_sent(sent: list[str]) -> None:
    """Those of the loads are tested with them (tests/loads), for most of them need rows of a special kind."""
    shapes = {shape(statement) for statement in sent} | {"BEGIN", "COMMIT"}
    deployment = ("tables.sql", "grants.sql", "unload_dimensions.sql")
    assert {s: name for s, name in reviewed().items() if name in deployment and s not in shapes} == {}


def test_no_statement_contains_text_of_a_file_or_a_key(sent: list[str]) -> None:
    """Rows come by COPY, the ledger's values as binds: only names the program chose are spliced, as literals."""
    everything = "\n".join(sent)
    assert "T1" not in everything
    assert ".csv" not in everything
    assert "day=15" not in everything


@given(uri=st.text(max_size=30), role=st.text(max_size=30))
def test_a_spliced_name_is_one_literal_whatever_is_in_it(uri: str, role: str) -> None:
    """COPY and UNLOAD take no binds: no bucket, prefix or role can end its literal and begin another statement."""

    def texts(uri: str, role: str) -> list[str]:
        return [
            sql.copy_staged(STAGED_TRANSACTIONS, manifest_uri=uri, copy_role_arn=role),
            *(
                sql.unload_dimension(dimension, dimension.joined, prefix_uri=uri, copy_role_arn=role)
                for dimension in DIMENSIONS.values()
            ),
            *ddl.grants(process_transactions_user=f"IAMR:{uri}", load_dimensions_user=f"IAMR:{role}"),
        ]

    if {"\\", "\0"} & set(uri + role):
        with pytest.raises(ValueError, match="no backslash and no NUL"):
            texts(uri, role)
        return
    for text, plain in zip(texts(uri, role), texts("uri", "role"), strict=True):
        (statement,), (expected,) = statements(text), statements(plain)
        assert [token.kind for token in statement.tokens] == [token.kind for token in expected.tokens]
        if text.startswith(("COPY", "UNLOAD")):
            assert {uri, role} <= {unquoted(token.text) for token in statement.tokens if token.kind == "string"}
