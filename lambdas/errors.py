"""The errors a function raises on purpose.

TerminalError    a person must act; trying again gives the same result
TransientError   trying again may help
"""

from __future__ import annotations


class TerminalError(Exception):
    """A person must act; the message says how."""


class TransientError(Exception):
    """Trying again may help."""
