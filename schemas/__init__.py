"""The contract: drops, tables, statuses, reject reasons, reports and every SQL statement.

Runs inside Glue (CPython 3.9). `drops`, `statuses`, `reject_reasons` and `reports`
need the standard library alone, so that a Lambda can import them.
"""
