"""The transform against what a user would pick instead, all doing the same work, in one run."""
