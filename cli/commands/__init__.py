"""The commands, one per module: its arguments, its help text and a call of the code that does the work.

These modules import nothing heavy at their top, so that `--help` is quick.
"""
