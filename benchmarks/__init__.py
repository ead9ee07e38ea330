"""Benchmarks of the job's transform and its alternatives: all do the same work in one run."""
