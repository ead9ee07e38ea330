"""The product's tables, users and grants, as `pulumi up` runs them: once, and again."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from redshift_emulator.refusals import _RULES
from redshift_emulator.statements import refusals
from schemas.warehouse.ddl import create_tables, grants
from schemas.warehouse.sql import identifier

PROCEDURE = "CREATE OR REPLACE PROCEDURE p(a INTEGER) AS $${body}$$ LANGUAGE plpgsql"


@pytest.fixture
def names(session) -> Iterator[tuple[str, str]]:
    """Two very hostile user names; the users are deleted at the end."""
    pair = (f"""IAMR:it's "{uuid4().hex}"; DROP USER rdsdb""", f"IAMR:{uuid4().hex}")
    yield pair
    for name in pair:
        session.run(f"DROP OWNED BY {identifier(name)}")
        session.run(f"DROP USER {identifier(name)}")


def test_every_statement_of_the_program_is_safe_to_run_again(session, names) -> None:
    process, load = names
    statements = [*create_tables(), *grants(process_transactions_user=process, load_dimensions_user=load)]
    for _ in range(2):
        for statement in statements:
            session.run(statement)
        for name in names:
            assert session.run("SELECT usecreatedb, usesuper FROM pg_user WHERE usename = %s", name) == [[False, False]]
            assert session.run("SELECT rolpassword FROM pg_authid WHERE rolname = %s", name) == [[None]]
    seen = "SELECT has_table_privilege(%s, 'fact_transactions', %s)"
    assert [session.run(seen, process, right) for right in ("INSERT", "TRUNCATE")] == [[[True]], [[False]]]
    assert session.run(seen, load, "SELECT") == [[False]]


def test_a_user_who_signed_in_before_the_grants_is_taken_as_it_is(session, names) -> None:
    process, load = names
    session.run(f"CREATE USER {identifier(process)} PASSWORD DISABLE")
    for statement in [*create_tables(), *grants(process_transactions_user=process, load_dimensions_user=load)]:
        session.run(statement)
    assert session.run("SELECT count(*) FROM pg_user WHERE usename IN (%s, %s)", *names) == [[2]]


def test_a_procedure_may_disable_a_password_in_what_it_executes(session) -> None:
    name = f"user_{uuid4().hex}"
    body = f"BEGIN EXECUTE 'CREATE USER {name}' || ' Password  disable'; END;"
    session.run(PROCEDURE.format(body=body))
    session.run("CALL p(1)")
    assert session.run("SELECT count(*) FROM pg_user WHERE usename = %s", name) == [[1]]
    session.run(f"DROP USER {name}")


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        ("on_conflict", "BEGIN; INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING; END;"),
        ("distinct_from", "BEGIN IF a IS DISTINCT FROM 1 THEN RETURN; END IF; END;"),
        ("unknown_function", "BEGIN EXECUTE format('DROP TABLE %I', 't'); END;"),
    ],
)
def test_what_redshift_refuses_is_refused_inside_a_procedure_too(session, rule: str, body: str) -> None:
    assert rule in {known.name for known in _RULES}
    assert [refusal.rule for refusal in refusals(PROCEDURE.format(body=body))] == [rule]
    assert session.error(PROCEDURE.format(body=body))["C"] in {"42601", "42883"}
