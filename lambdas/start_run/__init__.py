"""A drop is waiting in the queue: see that one run of its load is started, and never two."""
