"""The pages' templates, and how figures are written on them."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def with_code(text: str) -> Markup:
    """The text, in which a command between backticks is set as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


_TEMPLATES.filters["with_code"] = with_code


def page(template: str, **values: Any) -> str:
    """A whole HTML page."""
    return _TEMPLATES.get_template(template).render(**values)


def money(amount: str | float | None) -> str:
    """`1234.5` -> `1,234.50`; a dash where there is none."""
    try:
        return "–" if amount is None else f"{Decimal(str(amount)):,.2f}"
    except InvalidOperation:
        return str(amount)


def signed(amount: str | float | None) -> str:
    """As `money`, with a plus sign before what is more than zero."""
    text = money(amount)
    return text if text.startswith(("-", "–")) or text == "0.00" else f"+{text}"
