"""The worked examples of docs/sources.md: the settings, the file before, the rows after."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from schemas.sources import SourceSettings
from sources import read_source

DOCUMENT = Path(__file__).parents[2] / "docs" / "sources.md"

_EXAMPLE = re.compile(
    r"(?:```yaml\n(?P<settings>.*?)```\n)?```\n(?P<file>.*?)```\n\n(?P<table>\|.*?)\n(?=\n|\Z)"
    r"(?:\nRejected: (?P<rejected>[^\n]+)\.\n)?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Example:
    heading: str
    settings: SourceSettings
    content: bytes
    rows: list[dict[str, str]]
    """Loaded, in the order of the file."""
    rejected: dict[int, list[str]]
    """Line -> reject reasons."""


def examples() -> list[Example]:
    """All examples, in the order of the document."""
    presets, settings = DOCUMENT.read_text(encoding="utf-8").split("\n## Settings\n")
    sections = re.findall(r"^### (\S+)\n(.*?)(?=^### |\Z)", presets + settings, re.DOTALL | re.MULTILINE)
    return [_example(heading, match) for heading, text in sections for match in _EXAMPLE.finditer(text)]


def _example(heading: str, match: re.Match[str]) -> Example:
    written = match["settings"]
    settings = read_source(heading) if written is None else SourceSettings.parse(yaml.safe_load(written))
    header, _, *rows = (_cells(line) for line in match["table"].splitlines())
    rejected = re.findall(r"line (\d+) \(([a-z_, ]+)\)", match["rejected"] or "")
    return Example(
        heading=heading,
        settings=settings,
        content=match["file"].encode(settings.encoding),
        rows=[dict(zip(header, row, strict=True)) for row in rows],
        rejected={int(line): reasons.split(", ") for line, reasons in rejected},
    )


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
