"""Inputs of a resource that record which of them were read, so that no input is ignored without notice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class TrackedInputs(dict[str, Any]):
    """A dictionary of inputs, nested ones included, that records which keys were read."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        super().__init__({key: _watched(value) for key, value in inputs.items()})
        self._read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self._read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._read.add(key)
        return super().get(key, default)

    def items(self) -> Any:
        self._read.update(self)
        return super().items()

    def ignored(self) -> Iterator[str]:
        """The paths of the inputs that were not read, such as `rules.blockedEncryptionTypes`."""
        for key, value in super().items():
            if key not in self._read:
                yield key
                continue
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, TrackedInputs):
                    yield from (f"{key}.{path}" for path in inner.ignored())


def _watched(value: Any) -> Any:
    if isinstance(value, Mapping):
        return TrackedInputs(value)
    return [_watched(inner) for inner in value] if isinstance(value, list) else value
