"""Checks of files, without any pipeline: which rows would be accepted, and which settings would help."""
