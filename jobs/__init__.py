"""What runs inside Glue: one job for transactions, one for dimensions; and the mock data, which does not."""

__version__ = "1.0.0"
