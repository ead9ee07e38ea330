"""Source formats: one YAML file of settings for each, and their reader.

Nothing here needs Pulumi. The values are checked by schemas.sources, as in the job.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from schemas.sources import InvalidSource, SourceSettings

SOURCES = Path(__file__).parent


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML in which a key that is written twice is an error; by default the last one silently wins."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise yaml.YAMLError(f"line {node.start_mark.line + 1}: the key {twice!r} is written twice")
    mapping: dict[Any, Any] = loader.construct_mapping(node)
    return mapping


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def known_sources() -> list[str]:
    """The names that a stack may choose, `default` first."""
    return sorted((path.stem for path in SOURCES.glob("*.yaml")), key=lambda name: (name != "default", name))


def read_source(name: str) -> SourceSettings:
    """The settings of a source by its name, or in a YAML file; raises InvalidSource."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SOURCES / f"{name}.yaml"
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as reason:
        raise InvalidSource(name, [_why_unread(name, path, reason)]) from None
    try:
        mapping = yaml.load(content, Loader=_Loader)
    except (yaml.YAMLError, TypeError, ValueError) as reason:
        raise InvalidSource(name, [f"{path.name} is not valid YAML: {' '.join(str(reason).split())}"]) from None
    return SourceSettings.parse({} if mapping is None else mapping, name=path.stem)


def _why_unread(name: str, path: Path, reason: Exception) -> str:
    if path.parent != SOURCES:
        return f"{path} cannot be read ({reason})"
    nearest = get_close_matches(name, known_sources(), n=1)
    hint = f"do you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known_sources())}"
    return f"there is no sources/{name}.yaml; {hint}"
