"""The contract: drops, tables, statuses, reject reasons, reports and every SQL statement.

Runs inside Glue (CPython 3.9). All but `schemas.warehouse` needs the standard library alone, so that the
functions and the Pulumi program can import it.
"""
