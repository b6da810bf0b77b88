"""The bytes of a file, unpacked and in UTF-8, in constant memory, whatever the file would unpack to."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Literal, TypeAlias

import pyarrow as pa

from feature_store.errors import EventSourceError

Compression = Literal["gzip", "zstd"]
Bytes: TypeAlias = "io.BufferedReader[Unpacked]"

MAX_EXPANSION: Final = 250
"""Times its size that a compressed file may unpack to; events that people have seen reach about 40."""
FREE_BYTES: Final = 1 << 30
"""Unpacked bytes before the expansion counts."""
BEGIN_BYTES: Final = 1 << 16
_READ_AT_ONCE: Final = 1 << 18
_UTF16_MARKS: Final = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class Unpacked(io.RawIOBase):
    """A file's unpacked bytes; text in UTF-16 comes as UTF-8, and a byte order mark is left out."""

    def __init__(self, path: Path, compression: Compression | None) -> None:
        self._path = path
        self._file = path.open("rb")
        self._compressed = compression is not None
        self._bytes = _unpack(self._file, compression)
        self._unpacked = 0
        self._ready = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self.encoding = "utf-8"
        self._start()

    @property
    def position(self) -> int:
        """How many bytes of the file were read."""
        return self._file.tell()

    def readable(self) -> bool:
        """See io."""
        return True

    def readinto(self, buffer: object, /) -> int:
        """See io.

        Raises:
            EventSourceError: the file is damaged, cut off, or unpacks to far more than events do.
        """
        room = memoryview(buffer)  # type: ignore[arg-type]  # what io hands over is a buffer
        while not self._ready:
            raw = self._read(max(len(room), _READ_AT_ONCE))
            self._ready = raw if self._decoder is None else self._decoded(raw)
            if not raw:
                break
        count = min(len(room), len(self._ready))
        room[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        """See io."""
        self._file.close()
        super().close()

    def _start(self) -> None:
        first = self._read(BEGIN_BYTES)
        for mark, encoding in _UTF16_MARKS:
            if first.startswith(mark):
                self.encoding, first = encoding, first[len(mark) :]
        first = first.removeprefix(codecs.BOM_UTF8)
        if self.encoding == "utf-8":
            self.encoding = _unmarked_utf16(first) or "utf-8"
        if self.encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(self.encoding)()
            first = self._decoded(first)
        self._ready = first

    def _read(self, count: int) -> bytes:
        try:
            raw: bytes = self._bytes.read(count)
        except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
            raise EventSourceError(f"{self._path} cannot be read: {error}") from None
        if self._compressed:
            self._unpacked += len(raw)
            if self._unpacked > max(FREE_BYTES, MAX_EXPANSION * self.position):
                raise EventSourceError(
                    f"{self._path} unpacks to more than {MAX_EXPANSION} times its size, as no file of events "
                    "does; if it is one, unpack it and read that"
                )
        return raw

    def _decoded(self, raw: bytes) -> bytes:
        assert self._decoder is not None
        try:
            return self._decoder.decode(raw, final=not raw).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise EventSourceError(
                f"{self._path} is not {self.encoding} throughout: {error.reason}"
            ) from None


def _unpack(file: IO[bytes], compression: Compression | None) -> IO[bytes]:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]  # reads bytes, all that is asked of it
    if compression == "zstd":
        stream: IO[bytes] = pa.CompressedInputStream(file, "zstd")
        return stream
    return file


def _unmarked_utf16(first: bytes) -> str | None:
    """UTF-16 without a byte order mark: every other byte of mostly English text is zero."""
    sample = first[: 2 * (min(len(first), 4_096) // 2)]
    if len(sample) < 8:
        return None
    for encoding, zeros, others in (
        ("utf-16-le", sample[1::2], sample[::2]),
        ("utf-16-be", sample[::2], sample[1::2]),
    ):
        if zeros.count(0) > 0.7 * len(zeros) and others.count(0) < 0.1 * len(others):
            return encoding
    return None


@contextmanager
def unpacked(path: Path, compression: Compression | None) -> Iterator[tuple[Bytes, Unpacked]]:
    """The file's bytes to read, and what tells how far they are read.

    Raises:
        EventSourceError: it cannot be read; reading may raise it later on.
    """
    try:
        raw = Unpacked(path, compression)
    except OSError as error:
        raise EventSourceError(f"{path} cannot be read: {error.strerror or error}") from None
    with io.BufferedReader(raw, _READ_AT_ONCE) as file:
        yield file, raw


def begin(path: Path, compression: Compression | None, count: int = BEGIN_BYTES) -> bytes:
    """The first `count` unpacked bytes, or as many as there are.

    Raises:
        EventSourceError: they cannot be read.
    """
    with unpacked(path, compression) as (file, _):
        return file.read(count)
