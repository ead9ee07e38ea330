"""A load is committed: move exactly the version that was loaded to the archive bucket, verified."""
