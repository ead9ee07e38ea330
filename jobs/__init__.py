"""What a run does: one job for transactions, one for dimensions. Glue reaches it through glue_entry."""

__version__ = "1.0.0"
