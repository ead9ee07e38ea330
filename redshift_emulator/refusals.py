"""The rules for SQL that PostgreSQL accepts and Redshift refuses; sessions enforce them, `refusals()` reports them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from redshift_emulator.tokens import Statement, statements

MAX_BINDS = 32767


@dataclass(frozen=True)
class Refusal:
    """The reason for a refusal by Redshift: the rule's name, the SQLSTATE and the message for the client."""

    rule: str
    sqlstate: str
    message: str


@dataclass(frozen=True)
class _Rule:
    """A restriction on statements whose shape matches `pattern`, or for whose syntax tree `tree` is true."""

    name: str
    sqlstate: str
    message: str
    pattern: re.Pattern[str] | None = None
    tree: Callable[[exp.Expr], bool] | None = None


_NAME = r'(?:[^\W\d]\w*|"[^"]*")'
_TABLE = rf"{_NAME}(?: \. {_NAME}){{0,2}}"


def _syntax(name: str, near: str, pattern: str) -> _Rule:
    return _Rule(name, "42601", f'syntax error at or near "{near}"', re.compile(pattern, re.DOTALL))


def _unsupported(name: str, message: str, pattern: str) -> _Rule:
    return _Rule(name, "0A000", message, re.compile(pattern, re.DOTALL))


def _by_tree(name: str, sqlstate: str, message: str, tree: Callable[[exp.Expr], bool]) -> _Rule:
    return _Rule(name, sqlstate, message, tree=tree)


def _compares_rows(tree: exp.Expr) -> bool:
    return any(isinstance(node.this, exp.Tuple) for node in tree.find_all(exp.LT, exp.LTE, exp.GT, exp.GTE))


def _merge_joins_by_more_than_equality(tree: exp.Expr) -> bool:
    if not isinstance(tree, exp.Merge):
        return False
    condition = tree.args.get("on")
    return condition is not None and any(condition.find_all(exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NEQ, exp.Or, exp.Is))


def _merge_source_reads_target(tree: exp.Expr) -> bool:
    if not isinstance(tree, exp.Merge) or not isinstance(tree.this, exp.Table):
        return False
    target = tree.this.name.lower()
    return any(table.name.lower() == target for table in tree.args["using"].find_all(exp.Table))


_UNKNOWN_TYPES = "JSON|JSONB|UUID|BYTEA|MONEY|INET|CIDR|XML|TSVECTOR|HSTORE|SERIAL|BIGSERIAL|SMALLSERIAL"
_UNKNOWN_FUNCTIONS = (
    "STRING_AGG|ARRAY_AGG|UNNEST|TO_JSON|TO_JSONB|JSON_AGG|JSONB_AGG|JSON_BUILD_OBJECT|JSONB_BUILD_OBJECT|ROW_TO_JSON"
    "|GEN_RANDOM_UUID|MAKE_DATE|MAKE_TIMESTAMP|MAKE_INTERVAL|DATE_BIN|NUM_NULLS|NUM_NONNULLS|FORMAT"
    "|REGEXP_MATCHES|REGEXP_SPLIT_TO_TABLE|STRING_TO_TABLE|PG_ADVISORY_LOCK|PG_ADVISORY_XACT_LOCK"
    "|PG_TRY_ADVISORY_LOCK|PG_SLEEP"
)

_RULES: tuple[_Rule, ...] = (
    # MERGE
    _syntax("merge_condition_on_when", "AND", r"^MERGE .* WHEN (?:NOT )?MATCHED (?:BY \w+ )?AND\b"),
    _syntax("merge_by_source", "BY", r"^MERGE .* WHEN NOT MATCHED BY\b"),
    _syntax("merge_do_nothing", "DO", r"^MERGE .* THEN DO NOTHING\b"),
    _syntax("merge_target_alias", "USING", rf"^MERGE INTO (?:ONLY )?{_TABLE} (?!USING\b|\. )"),
    _syntax("merge_after_with", "MERGE", r"^WITH .*\) MERGE INTO\b"),
    _syntax("merge_using_with", "WITH", r"^MERGE INTO .* USING \( WITH\b"),
    _Rule(
        "merge_single_when",
        "0A000",
        "MERGE statement with a single WHEN clause is not enabled",
        re.compile(
            r"^MERGE INTO (?!.* REMOVE DUPLICATES$)(?:(?!.* WHEN MATCHED\b)|(?!.* WHEN NOT MATCHED\b))", re.DOTALL
        ),
    ),
    _syntax(
        "merge_when_twice",
        "WHEN",
        r"^MERGE .*(?: WHEN MATCHED\b.* WHEN MATCHED\b| WHEN NOT MATCHED\b.* WHEN NOT MATCHED\b)",
    ),
    _unsupported(
        "merge_remove_duplicates",
        "the emulator does not support MERGE … REMOVE DUPLICATES",
        r"^MERGE .* REMOVE DUPLICATES$",
    ),
    _by_tree(
        "merge_on_equality",
        "0A000",
        "MERGE supports equality predicates in its ON clause only",
        _merge_joins_by_more_than_equality,
    ),
    _by_tree(
        "merge_source_is_target", "0A000", "MERGE source must not read the target table", _merge_source_reads_target
    ),
    _Rule(
        "merge_binds_in_subquery",
        "XX000",
        "queryVoltDecorrCSQ: bind parameters in the USING subquery of MERGE",
        re.compile(r"^MERGE .* USING \( SELECT (?:(?! WHEN ).)*\$\d", re.DOTALL),
    ),
    # other DML
    _syntax("on_conflict", "ON", r"^(?:INSERT|WITH) .* ON CONFLICT\b"),
    _syntax("returning", "RETURNING", r"^(?:INSERT|UPDATE|DELETE|MERGE|WITH) .* RETURNING\b"),
    _syntax("delete_alias", "AS", rf"^DELETE FROM {_TABLE} (?!USING\b|WHERE\b)(?:AS )?{_NAME}"),
    _syntax("update_column_list", "(", rf"^UPDATE {_TABLE} .*?\bSET \("),
    _syntax("update_only", "ONLY", r"^(?:UPDATE|DELETE FROM) ONLY\b"),
    _syntax("distinct_from", "DISTINCT", r"\bIS (?:NOT )?DISTINCT FROM\b"),
    _syntax("aggregate_filter", "(", r"\) FILTER \( WHERE\b"),
    _syntax("distinct_on", "ON", r"\bSELECT DISTINCT ON \("),
    _syntax("lateral", "LATERAL", r"\bLATERAL\b"),
    _syntax("for_update", "FOR", r" FOR (?:NO KEY )?(?:UPDATE|SHARE)\b"),
    _by_tree("row_comparison", "0A000", "row comparison other than equality is not supported", _compares_rows),
    _unsupported(
        "arrays", "array types are not supported", r"\bARRAY \[|\w \[ \d* ?\]|\b(?:ANY|ALL) \( (?:\$\d+|ARRAY\b)"
    ),
    _Rule(
        "unknown_function",
        "42883",
        "function does not exist in Redshift",
        re.compile(rf"(?<!\. )\b(?:{_UNKNOWN_FUNCTIONS}) \("),
    ),
    # DDL
    _syntax("create_index", "INDEX", r"^(?:CREATE(?: UNIQUE)?|DROP|ALTER) INDEX\b"),
    _syntax("generated_column", "GENERATED", r"\bGENERATED ALWAYS AS\b"),
    _syntax("unlogged", "UNLOGGED", r"^CREATE UNLOGGED\b"),
    _syntax("on_commit", "ON", r"^CREATE .* ON COMMIT (?:DROP|DELETE|PRESERVE)\b"),
    _syntax("check_constraint", "CHECK", r"^(?:CREATE|ALTER) .*TABLE .* CHECK \("),
    # https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html
    _syntax("add_column_if_not_exists", "NOT", r"^ALTER TABLE .* ADD (?:COLUMN )?IF NOT EXISTS\b"),
    _syntax("drop_column_if_exists", "EXISTS", r"^ALTER TABLE .* DROP (?:COLUMN )?IF EXISTS\b"),
    _syntax("alter_several", ",", r"^ALTER TABLE .* , (?:ADD|DROP|ALTER|RENAME)\b"),
    _unsupported(
        "add_not_null_without_default",
        "ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression",
        r"^ALTER TABLE (?!.* DEFAULT\b).* ADD (?:COLUMN )?(?!CONSTRAINT\b|PRIMARY KEY|UNIQUE|FOREIGN KEY).* NOT NULL\b",
    ),
    _unsupported(
        "alter_column_null_or_default",
        "ALTER COLUMN SET/DROP NOT NULL or DEFAULT is not supported",
        r"^ALTER TABLE .* ALTER (?:COLUMN )?\S+ (?:SET|DROP) (?:NOT NULL|DEFAULT)\b",
    ),
    _Rule(
        "unknown_type",
        "42704",
        "type does not exist in Redshift",
        re.compile(
            rf"^(?:CREATE|ALTER) .*TABLE .*(?:{_NAME}) (?:{_UNKNOWN_TYPES})\b(?! \()"
            rf"|:: ?(?:{_UNKNOWN_TYPES})\b|\bAS (?:{_UNKNOWN_TYPES}) \)",
            re.DOTALL,
        ),
    ),
    _unsupported(
        "trigger",
        "triggers and rules are not supported",
        r"^CREATE (?:OR REPLACE )?(?:TRIGGER|RULE|SEQUENCE|DOMAIN|TYPE|EXTENSION)\b",
    ),
    # commands
    _syntax("lock_mode", "IN", rf"^LOCK (?:TABLE )?(?:ONLY )?{_TABLE}(?: , {_TABLE})* (?:IN|NOWAIT)\b"),
    _unsupported("copy_from_stdin", "COPY from STDIN is not supported", r"^COPY .* (?:FROM STDIN|TO STDOUT)\b"),
    _unsupported(
        "savepoint",
        "SQL command not supported",
        r"^(?:SAVEPOINT|RELEASE|ROLLBACK TO|LISTEN|NOTIFY|DO|PREPARE TRANSACTION)\b",
    ),
)


def is_procedure(statement: Statement) -> bool:
    return re.match(r"CREATE (?:OR REPLACE )?PROCEDURE\b", statement.shape) is not None


def refusals_of(statement: Statement) -> list[Refusal]:
    """Everything in one statement that Redshift refuses, including the body of a procedure."""
    tree: exp.Expr | None = None
    refusals = []
    if is_procedure(statement):
        bodies = [token.text[2:-2] for token in statement.tokens if token.text.startswith("$$")]
        refusals += [refusal for body in bodies for inner in statements(body) for refusal in refusals_of(inner)]
    if re.match(r"(?:SELECT|WITH|INSERT|UPDATE|DELETE|MERGE)\b", statement.shape):
        tree = _parsed(statement.text)
    for rule in _RULES:
        by_shape = rule.pattern is not None and rule.pattern.search(statement.shape)
        by_tree = rule.tree is not None and tree is not None and rule.tree(tree)
        if by_shape or by_tree:
            refusals.append(Refusal(rule.name, rule.sqlstate, rule.message))
    return refusals


def _parsed(sql: str) -> exp.Expr | None:
    try:
        return sqlglot.parse_one(sql, read="redshift")
    except SqlglotError:
        return None  # PostgreSQL refuses a statement that sqlglot cannot parse
