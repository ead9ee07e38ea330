"""archive: when a load is committed, move exactly the loaded version to the archive bucket and verify it."""
