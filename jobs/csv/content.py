"""The bytes of a drop, which can be read several times: from disk or S3, unpacked or decoded while reading.

The unpacked or decoded bytes are never written to disk, so their size does not matter.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, Literal, Protocol


class Content(Protocol):
    """Something that can be read from its first byte on, several times. A `Path` is one."""

    def open(self, mode: Literal["rb"]) -> BinaryIO: ...


@dataclass(frozen=True)
class Streamed:
    """Content that a function produces block by block, each time it is called."""

    blocks: Callable[[], Iterator[bytes]]

    def open(self, mode: Literal["rb"]) -> BinaryIO:  # noqa: ARG002 - as Path.open has it
        return io.BufferedReader(_BlocksAgain(self.blocks))


def read_once(blocks: Iterable[bytes]) -> BinaryIO:
    """A file of these blocks that can only be read forward."""
    return io.BufferedReader(_Blocks(iter(blocks)))


class _Blocks(io.RawIOBase):
    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = memoryview(block)
        size = min(len(target), len(self._left))
        target[:size] = self._left[:size]
        self._left = self._left[size:]
        self._at += size
        return size

    def close(self) -> None:
        if not self.closed:
            _close(self._blocks)
        super().close()


class _BlocksAgain(_Blocks):
    """Seeks back by making the blocks again from the start."""

    def __init__(self, make: Callable[[], Iterator[bytes]]) -> None:
        super().__init__(make())
        self._make = make

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            raise io.UnsupportedOperation("the end of what is still to be made is not known")
        target = offset if whence == os.SEEK_SET else self._at + offset
        if target < self._at:
            _close(self._blocks)
            self._blocks, self._left, self._at = self._make(), memoryview(b""), 0
        scratch = memoryview(bytearray(io.DEFAULT_BUFFER_SIZE))
        while self._at < target and self.readinto(scratch[: target - self._at]):
            pass
        return self._at


def _close(blocks: Iterator[bytes]) -> None:
    """Close a generator, so that its open files and requests are released."""
    if isinstance(blocks, Generator):
        blocks.close()
