"""Drops: the keys of files, their upload, their progress, and plans of what they would change."""
