"""The services that act: they route events, invoke functions, and start and end Glue runs."""
