"""The file of rejected rows: the job writes it, the operator's command reads it, a corrected one is a drop again."""

from __future__ import annotations

SOURCE_LINE = "source_line"
"""The row's line in its drop, counted from 1."""
REJECT_REASONS_COLUMN = "reject_reasons"
"""All reasons of the row, in the order in which they are declared."""
SOURCE_TEXT = "source_text"
"""A malformed row as it was written; empty for any other row, whose values are in the drop's own columns."""

REJECTED_FILE_COLUMNS = (SOURCE_LINE, REJECT_REASONS_COLUMN, SOURCE_TEXT)
"""The columns that the file adds to the drop's own."""

REASON_SEPARATOR = ";"
