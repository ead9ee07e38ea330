"""The list of what Redshift does and PostgreSQL does not, row by row, with the tests that show each."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from redshift_emulator.refusals import _RULES
from tests.redshift_emulator.test_refused_statements import REFUSED

RULES = {
    # A row of the list that is a rule: its names there, each with wrong statements in REFUSED.
    "MERGE: no condition on WHEN, DO NOTHING, BY SOURCE, target alias, CTE": (
        "merge_condition_on_when",
        "merge_do_nothing",
        "merge_by_source",
        "merge_target_alias",
        "merge_using_with",
        "merge_after_with",
    ),
    "MERGE: both WHEN clauses, once each": ("merge_single_when", "merge_when_twice"),
}

BEHAVIOURS = {
    # A row that is a behaviour: the tests of this folder that show it.
    "duplicate matched source rows in Redshift's words": ("test_duplicate_matches_are_refused_in_redshifts_words",),
    "a single WHEN clause in Redshift's words": ("test_a_single_when_clause_is_refused_in_redshifts_words",),
    "keys are not enforced, distribution clauses are taken": (
        "test_keys_are_not_enforced_but_not_null_is",
        "test_a_table_made_of_a_query_takes_distribution_clauses",
    ),
    "a bare DECIMAL is (18,0)": ("test_a_bare_decimal_has_no_cents",),
    "VARCHAR counts bytes, TEXT is 256 of them, on COPY and on DML": (
        "test_a_varchar_counts_bytes",
        "test_a_copy_of_a_tables_shape_counts_bytes_too",
        "test_text_is_256_bytes_long",
        "test_a_text_longer_in_bytes_than_its_column_aborts_everything",
    ),
    "TRUNCATE commits": ("test_truncate_commits",),
    "Parquet COPY: by position, strict types, as many columns, the first error aborts all, options refused": (
        "test_columns_are_taken_by_position_whatever_their_names",
        "test_another_physical_type_is_error_15007",
        "test_the_number_of_columns_must_match",
        "test_an_error_in_the_second_object_takes_back_the_first",
        "test_null_into_not_null_aborts_everything",
        "test_options_that_parquet_does_not_take_are_refused",
        "test_a_manifest_that_is_not_true_loads_nothing",
    ),
    "nanosecond timestamps": ("test_nanosecond_timestamps_are_refused",),
    "a serialisation failure is XX000 with 1023": ("test_a_conflicting_write_is_error_1023_under_xx000",),
    "SNAPSHOT isolation": (
        "test_a_transaction_sees_the_snapshot_of_its_first_statement",
        "test_the_snapshot_is_not_taken_by_begin",
        "test_lock_first_takes_the_snapshot_after_the_lock_is_granted",
    ),
    "pg_last_copy_count() of the session, kept by a failed COPY": (
        "test_the_last_copy_count_survives_a_failed_copy_and_a_rollback",
    ),
    "'' and NULL in CSV COPY": ("test_formats_whose_null_is_not_postgresqls_are_refused",),
    "the driver's start-up keys, the server's version": (
        "test_the_driver_signs_in_with_iam_and_is_its_role",
        "test_the_driver_gets_redshifts_version",
    ),
}


def functions_of_this_folder() -> set[str]:
    return {
        node.name
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("row", BEHAVIOURS)
def test_a_behaviour_on_the_list_has_its_tests(row: str) -> None:
    assert set(BEHAVIOURS[row]) - functions_of_this_folder() == set()


@pytest.mark.parametrize("row", RULES)
def test_a_rule_on_the_list_has_statements_that_break_it(row: str) -> None:
    assert set(RULES[row]) <= {rule.name for rule in _RULES}
    assert all(REFUSED[name] for name in RULES[row])
