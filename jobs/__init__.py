"""The two jobs: one loads transactions, one loads dimensions. Glue starts them through glue_entry."""

__version__ = "1.0.0"
