"""What can be typed: one module per command, with its arguments, its help and one call.

Nothing heavy is imported at the top of these modules, so that `--help` answers at once.
"""
