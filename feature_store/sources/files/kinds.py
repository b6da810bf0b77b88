"""What a file is: how it is packed and laid out, by its name, and by its first bytes where that is silent."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, NamedTuple

from feature_store.errors import EventSourceError
from feature_store.sources.files.streams import Compression, begin

Layout = Literal["json", "text", "parquet"]
"""json: values, one per line or as an array; text: rows of columns (CSV, TSV); parquet."""

COMPRESSIONS: Final[dict[str, Compression]] = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
}
LAYOUTS: Final[dict[str, Layout]] = {
    ".ndjson": "json",
    ".jsonl": "json",
    ".json": "json",
    ".csv": "text",
    ".tsv": "text",
    ".tab": "text",
    ".txt": "text",
    ".parquet": "parquet",
    ".pq": "parquet",
}
SUFFIXES: Final = ".ndjson, .jsonl, .json, .csv, .tsv (each also .gz or .zst) and .parquet"

_MAGIC: Final[tuple[tuple[bytes, Compression], ...]] = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))
_BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_ADVICE: Final[tuple[tuple[bytes, str], ...]] = (
    (b"PK\x03\x04", "a zip archive or a workbook: unzip it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old workbook: save the sheet as CSV"),
    (b"Obj\x01", "an Avro file: export parquet or JSON lines instead"),
    (b"ORC", "an ORC file: export parquet or JSON lines instead"),
    (b"BZh", "compressed with bzip2: unpack it, or compress it with gzip or zstd"),
    (b"\xfd7zXZ", "compressed with xz: unpack it, or compress it with gzip or zstd"),
    (b"SQLite format 3", "a SQLite database: export CSV or JSON lines instead"),
    (b"%PDF", "a PDF"),
)


class Kind(NamedTuple):
    """How a file is laid out and compressed; compression None: not at all, or inside, as parquet is."""

    layout: Layout
    compression: Compression | None


def named_kind(path: Path) -> Layout | Compression | None:
    """What the end of the name says: a layout, or a compression of something that it does not name."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if not suffixes:
        return None
    if suffixes[-1] in COMPRESSIONS:
        return (
            LAYOUTS.get(suffixes[-2], COMPRESSIONS[suffixes[-1]])
            if len(suffixes) == 2
            else COMPRESSIONS[suffixes[-1]]
        )
    return LAYOUTS.get(suffixes[-1])


def kind_of(path: Path) -> Kind:
    """What a file is.

    Raises:
        EventSourceError: it cannot be read, or is none that events are read from; what to do instead.
    """
    try:
        with path.open("rb") as file:
            first = file.read(16)
    except OSError as error:
        raise EventSourceError(f"{path} cannot be read: {error.strerror or error}") from None
    compression = next((name for magic, name in _MAGIC if first.startswith(magic)), None)
    named = named_kind(path)
    if compression is None and path.suffix.lower() in COMPRESSIONS and first:
        raise EventSourceError(
            f"{path} cannot be read: it is not compressed as its name says; take {path.suffix} off its name"
        )
    if named is not None and named != "gzip" and named != "zstd":  # noqa: PLR1714  (mypy narrows these)
        return _checked(path, Kind(named, compression))
    return Kind(_layout_of(path, begin(path, compression)), compression)


def _checked(path: Path, kind: Kind) -> Kind:
    if kind.layout == "parquet":
        if kind.compression is not None:
            raise EventSourceError(
                f"{path} is parquet in a compressed file: unpack it; parquet compresses inside"
            )
        return kind
    advice = _advice(begin(path, kind.compression)[:16])
    if advice is not None:
        raise EventSourceError(f"{path} is {advice}")
    return kind


def _advice(first: bytes) -> str | None:
    if first.startswith(b"PAR1"):
        return "a parquet file: name it .parquet"
    return next((advice for magic, advice in _ADVICE if first.startswith(magic)), None)


def _layout_of(path: Path, first: bytes) -> Layout:
    """The layout of a file whose name does not say it, by its first bytes."""
    if first.startswith(b"PAR1"):
        return "parquet"
    advice = _advice(first)
    if advice is not None:
        raise EventSourceError(f"{path} is {advice}")
    text = first
    for mark in _BYTE_ORDER_MARKS:
        text = text.removeprefix(mark)
    text = text.replace(b"\0", b"").lstrip()
    if text.startswith((b"{", b"[")):
        return "json"
    header = text.split(b"\n", 1)[0]
    if any(header.count(sign) for sign in (b",", b"\t", b";", b"|")) and b"\xff\xfd" not in header:
        return "text"
    raise EventSourceError(f"{path} is of no supported kind: events are read from {SUFFIXES}")
