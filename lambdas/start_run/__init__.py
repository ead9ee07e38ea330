"""start_run: for each drop in the queue, start one run of its load and never two."""
