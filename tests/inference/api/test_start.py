"""What the API says when it cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from feature_store.errors import IdentityKeyError
from ops.cli.api import api


def test_without_a_key_of_buyer_ids_it_says_so_before_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPERSONA_HOME", str(tmp_path))
    monkeypatch.delenv("SIMPERSONA_ID_KEY", raising=False)
    with pytest.raises(IdentityKeyError, match="set SIMPERSONA_ID_KEY"):
        CliRunner().invoke(api, [], catch_exceptions=False)
