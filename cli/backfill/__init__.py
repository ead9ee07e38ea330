"""Many days of files: uploaded in batches, reported in one mail."""
