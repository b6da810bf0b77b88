"""Rows as bytes: what is packed comes back, and what this release cannot read is refused."""

from __future__ import annotations

import pytest

from feature_store.errors import RowVersionError
from feature_store.online.encoding import RowHeader, pack_row, unpack_row


def test_row_header_comes_back_and_another_version_is_refused() -> None:
    header = RowHeader(since_offset=3, last_offset=9, code=17, type=-1, band=0, version=5)
    row = pack_row(header, b"state")
    assert unpack_row(row) == (header, b"state")
    uncounted = header._replace(band=5, counted=False)
    assert unpack_row(pack_row(uncounted, b"state")) == (uncounted, b"state")
    with pytest.raises(RowVersionError, match="schema version 2"):
        unpack_row(b"\x02\x00" + row[2:])
    with pytest.raises(RowVersionError):
        unpack_row(b"short")
