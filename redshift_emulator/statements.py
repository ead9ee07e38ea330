"""Decides for each statement: pass it on, rewrite it for PostgreSQL, emulate it, or refuse it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from redshift_emulator.copy_from_s3 import CopyCommand, copy_command
from redshift_emulator.ddl import alter_table_for_postgresql, create_table_for_postgresql
from redshift_emulator.errors import RedshiftError
from redshift_emulator.refusals import MAX_BINDS, Refusal, is_procedure, refusals_of
from redshift_emulator.tokens import Statement, Token, statements, tokens_of
from redshift_emulator.unload_to_s3 import UnloadCommand, unload_command

_REFUSED_SQL = "refused by the emulator"
_PASSWORD_DISABLE = re.compile(r"(?i)\bPASSWORD\s+DISABLE\b")
_EMULATED_SQL = "DISCARD PLANS"
"""Prepared in place of an emulated statement: it takes no binds and returns no rows either, and is never executed."""

_OWN_SETTINGS = "QUERY_GROUP|ENABLE_CASE_SENSITIVE_IDENTIFIER|ENABLE_RESULT_CACHE_FOR_SESSION|WLM_QUERY_SLOT_COUNT"


@dataclass(frozen=True)
class Emulated:
    """A statement that the emulator carries out; exactly one of the fields is set."""

    copy: CopyCommand | None = None
    unload: UnloadCommand | None = None
    commits: str | None = None
    """A statement that commits its transaction, as TRUNCATE does."""


@dataclass(frozen=True)
class Plan:
    """The SQL for PostgreSQL, and the emulation or the refusal that replaces its result."""

    sql: str
    emulated: Emulated | None = None
    refusal: RedshiftError | None = None


def split_statements(sql: str) -> list[str]:
    """The statements of a simple query."""
    return [statement.text for statement in statements(sql)]


def refusals(sql: str) -> list[Refusal]:
    """Everything in the statements of `sql` that Redshift refuses; empty where it accepts all of them."""
    faults = []
    for statement in statements(sql):
        broken = refusals_of(statement)
        plan = understand(statement.text)
        if not broken and plan.refusal is not None:
            # COPY and UNLOAD are refused by their parsers
            command = statement.tokens[0].text.lower()
            broken = [Refusal(command, plan.refusal.sqlstate, plan.refusal.message)]
        faults += broken
    return faults


@lru_cache(maxsize=2048)
def understand(sql: str, *, binds: int = 0) -> Plan:
    """The plan for one statement with this number of binds."""
    try:
        return _plan(sql, binds)
    except RedshiftError as error:
        return Plan(_REFUSED_SQL, refusal=error)


def _plan(sql: str, binds: int) -> Plan:
    parsed = statements(sql)
    if not parsed:
        return Plan("")
    if len(parsed) > 1:
        raise RedshiftError("42601", "cannot insert multiple commands into a prepared statement")
    (statement,) = parsed
    refused = refusals_of(statement)
    if refused:
        raise RedshiftError(refused[0].sqlstate, refused[0].message, f"rule {refused[0].rule}")
    if binds > MAX_BINDS:
        raise RedshiftError("08P01", f"the number of parameters, {binds}, is greater than {MAX_BINDS}")
    command = statement.tokens[0].shape
    if command in ("COPY", "UNLOAD", "LOCK") and (binds or any(token.kind == "bind" for token in statement.tokens)):
        raise RedshiftError("42601", f"{command} takes no bind parameters")
    if command == "COPY":
        return Plan(_EMULATED_SQL, Emulated(copy=copy_command(statement)))
    if command == "UNLOAD":
        return Plan(_EMULATED_SQL, Emulated(unload=unload_command(statement, rewritten)))
    if command == "TRUNCATE":
        return Plan(_EMULATED_SQL, Emulated(commits=statement.text))
    return Plan(_for_postgresql(statement))


def _for_postgresql(statement: Statement) -> str:
    shape = statement.shape
    if re.match(r"CREATE (?:(?:LOCAL )?TEMP(?:ORARY)? )?TABLE\b", shape):
        statement = create_table_for_postgresql(statement)
    elif shape.startswith("ALTER TABLE "):
        statement = alter_table_for_postgresql(statement)
    elif re.match(r"(?:BEGIN|START TRANSACTION)\b", shape):
        return "BEGIN READ ONLY" if shape.endswith("READ ONLY") else "BEGIN"
    elif re.match(r"(?:CREATE|ALTER) USER .* PASSWORD DISABLE\b", shape):
        return _PASSWORD_DISABLE.sub("PASSWORD NULL", statement.text)
    elif is_procedure(statement):
        # The emulator does not see SQL that the body runs with EXECUTE.
        return _PASSWORD_DISABLE.sub("PASSWORD NULL", statement.text)
    elif re.match(rf"(?:SET|RESET|SHOW) (?:SESSION |LOCAL )?(?:{_OWN_SETTINGS})\b", shape):
        return re.sub(rf"(?i)\b({_OWN_SETTINGS})\b", r"redshift.\1", statement.text, count=1)
    elif vacuum := re.match(
        r"VACUUM (?:FULL |SORT ONLY |DELETE ONLY |REINDEX |RECLUSTER )?(?!TO )(\S+(?: \. \S+)?)", shape
    ):
        return f"VACUUM {vacuum[1].replace(' ', '').lower()}"
    elif re.match(r"DELETE (?!FROM\b)", shape):
        statement = Statement.of([statement.tokens[0], Token("word", "FROM", True), *statement.tokens[1:]])
    return rewritten(statement)


def rewritten(statement: Statement) -> str:
    """The statement with Redshift's expressions replaced by PostgreSQL's."""
    tokens: list[Token] = []
    for position, token in enumerate(statement.tokens):
        before = statement.tokens[position - 1].shape if position else ""
        after = statement.tokens[position + 1].shape if position + 1 < len(statement.tokens) else ""
        if token.shape == "SYSDATE" and before != "." and after != "(":
            tokens += _spaced("(now() AT TIME ZONE 'UTC')")
        elif token.shape in ("DECIMAL", "NUMERIC") and before in ("AS", "::") and after != "(":
            tokens += [token, *tokens_of("(18,0)")]
        else:
            tokens.append(token)
    return Statement.of(tokens).text


def _spaced(sql: str) -> list[Token]:
    return [Token(token.kind, token.text, True) for token in tokens_of(sql)]
