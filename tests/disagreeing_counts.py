"""The pattern of a count that disagrees with its noun: `1 rows`, `2 row`."""

from __future__ import annotations

import re

_NOUNS = "rows?|transactions?|columns?|reasons?|minutes?|files?"
DISAGREES = re.compile(
    rf"(?<![\d,.])(?:1 (?:[a-z]+ )?(?:{_NOUNS})(?<=s)|(?:0|[2-9]|\d\d+) (?:[a-z]+ )?(?:{_NOUNS})(?<!s))\b"
)
