"""Amount classes as the stack's configuration writes them: `Small:0,Medium:100,Large:1000`.

One parser serves the Pulumi program, which refuses a wrong text before anything is deployed, and the job.
"""

from __future__ import annotations

import re
from decimal import Decimal

DEFAULT = "Small:0,Medium:100,Large:1000"
"""The default of the setting `amountClasses`."""
LABEL_BYTES = 64
"""Bytes of the warehouse's column."""

FORM = f"different labels with rising lower bounds, the first of them 0, such as {DEFAULT}"

# An amount has at most 16 digits before its decimals: DECIMAL(18,2).
_CLASS = re.compile(r"([^:,\s](?:[^:,]*[^:,\s])?):([0-9]{1,16}(?:\.[0-9]{1,2})?)")


def parse_amount_classes(text: str) -> dict[str, Decimal]:
    """Label -> lower bound, the smallest first; raises ValueError naming the part that is wrong.

    The lowest bound must be 0, so that every amount has a class. A bound belongs to the class above it.
    """
    classes: dict[str, Decimal] = {}
    for part in text.split(","):
        match = _CLASS.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part!r} is not LABEL:BOUND with a bound of at most 16 digits and two decimals")
        label, bound = match.group(1), Decimal(match.group(2))
        if len(label.encode("utf-8")) > LABEL_BYTES:
            raise ValueError(f"the label {label!r} is longer than {LABEL_BYTES} bytes")
        if label in classes:
            raise ValueError(f"the label {label!r} is written twice")
        if classes and bound <= max(classes.values()):
            raise ValueError(f"the bound of {part!r} is not larger than the bound before it")
        classes[label] = bound
    if next(iter(classes.values())) != 0:
        raise ValueError("the first bound is not 0")
    return classes
