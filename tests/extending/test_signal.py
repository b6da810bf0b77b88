"""A new share of bad data is three files, and is then counted, reported, exported, shown and documented."""

from __future__ import annotations

import json
from pathlib import Path

from tests.extending.recipes import follow, run

WATCHING = Path(__file__).with_name("watching.py")
_DOCUMENTS = """
import json
from ops.documents.pages import drift_page, settings_page
print(json.dumps([drift_page(), settings_page()]))
"""


def test_a_signal_is_three_files(tmp_path: Path) -> None:
    touched = follow("A signal", tmp_path)
    assert touched == ["inference/counts/profile.py", "inference/counts/counting.py", "ops/drift/signals.py"]
    seen = json.loads(run(tmp_path, str(WATCHING), SIMPERSONA_DRIFT_AHEAD="0.2"))
    assert seen["limit"] == 0.2
    assert seen["report"]["ahead"] == 0.25
    assert seen["page"]["ahead"] == 0.25
    assert "ahead" in seen["columns"]
    assert 'simpersona_drift_share{kind="ahead",store="acme"} 0.25' in seen["metrics"]
    assert 'simpersona_drift_alert{about="ahead",kind="data",store="acme"} 1.0' in seen["metrics"]
    assert ["ahead", "many events are dated ahead"] in seen["alerts"]

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "drift.md").write_text("<!-- signals: made by `make docs` --><!-- signals: end -->")
    drift, settings = json.loads(run(tmp_path, "-c", _DOCUMENTS))
    assert "| `ahead` | many events are dated ahead | 5% (`SIMPERSONA_DRIFT_AHEAD`) |" in drift
    assert "`SIMPERSONA_DRIFT_AHEAD`" in settings
