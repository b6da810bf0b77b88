"""Packed and encoded bytes come out as they went in; what is damaged or far too large is refused."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.errors import EventSourceError
from feature_store.sources.files import streams
from feature_store.sources.files.streams import Compression, begin, unpacked

PACK: dict[Compression | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.compress,
    "zstd": lambda raw: pa.compress(raw, "zstd", asbytes=True),
}


def read(path: Path, compression: Compression | None, size: int = -1) -> bytes:
    with unpacked(path, compression) as (file, _):
        return file.read() if size < 0 else b"".join(iter(lambda: file.read(size), b""))


@pytest.mark.parametrize("compression", PACK)
@settings(max_examples=25)
@given(content=st.binary(max_size=300).filter(lambda raw: b"\0" not in raw), size=st.integers(1, 50))
def test_what_is_packed_is_unpacked(
    tmp_path_factory: pytest.TempPathFactory, compression: Compression | None, content: bytes, size: int
) -> None:
    path = tmp_path_factory.mktemp("packed") / "file"
    path.write_bytes(PACK[compression](b"x" + content))
    assert read(path, compression, size) == b"x" + content


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("marked", [True, False])
@settings(max_examples=25)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=100))
def test_text_comes_as_utf_8(
    tmp_path_factory: pytest.TempPathFactory, encoding: str, marked: bool, text: str
) -> None:
    text = "\n".join(['{"an": "ordinary beginning in ASCII"}'] * 10) + text
    path = tmp_path_factory.mktemp("encoded") / "file"
    mark = "" if encoding == "utf-8-sig" or not marked else "\ufeff"
    path.write_bytes((mark + text).encode(encoding))
    assert read(path, None, 7).decode() == text


def test_several_members_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert read(path, "gzip") == b"one\ntwo\n"
    path.write_bytes(PACK["zstd"](b"one\n") + PACK["zstd"](b"two\n"))
    assert read(path, "zstd") == b"one\ntwo\n"


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@settings(max_examples=25)
@given(end=st.integers(12, 400))
def test_a_file_that_was_cut_off(
    tmp_path_factory: pytest.TempPathFactory, compression: Any, end: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "file"
    path.write_bytes(PACK[compression](os.urandom(400))[:end])
    with pytest.raises(EventSourceError, match="cannot be read"):
        read(path, compression)


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    packed = gzip.compress(os.urandom(400_000))
    path.write_bytes(packed[:200_000] + bytes(1_000) + packed[201_000:])
    with pytest.raises(EventSourceError, match="cannot be read"):
        read(path, "gzip")


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, compression: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    path = tmp_path / "file"
    path.write_bytes(PACK[compression](bytes(30 << 20)))
    assert len(begin(path, compression)) == streams.BEGIN_BYTES
    lengths: list[int] = []
    with (
        unpacked(path, compression) as (file, _),
        pytest.raises(EventSourceError, match="250 times its size"),
    ):
        lengths.extend(len(chunk) for chunk in iter(lambda: file.read(1 << 16), b""))
    assert sum(lengths) < 20 << 20


def test_utf_16_that_is_none_further_on(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes("\ufeffa line\n".encode("utf-16-le") + b"\x00\xd8a\x00")
    with pytest.raises(EventSourceError, match="not utf-16-le throughout"):
        read(path, None)
