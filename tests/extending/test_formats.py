"""An input format is one file, with code or without, and is then everywhere."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.extending.recipes import follow, run

NOW_MS = time.time_ns() // 1_000_000
PAYLOADS = {
    "countly": {
        "device_id": "device-1",
        "events": [
            {"key": "viewed_product", "timestamp": NOW_MS, "segmentation": {"product": "p1", "price": 9.5}},
            {"key": "[CLY]_orientation", "timestamp": NOW_MS},
            {"key": "product_seen", "timestamp": NOW_MS},
        ],
    },
    "tidewater": {"visitor": "v-1", "at": NOW_MS, "name": "boat", "hull": "p1", "asking": 9.5},
}
_COLLECT = """
import json, sys
from feature_store.contract.identity import BuyerHasher
from inference.api.bounds.costs import Meter
from inference.api.bounds.json_text import JsonBounds
from inference.api.requests.payloads import Collector
name, body = sys.argv[1:]
collector = Collector(BuyerHasher(bytes(32)), 100, JsonBounds(1_000, 1_000, 64))
taken = collector.take(body.encode(), name, "acme", Meter())
print(json.dumps([taken.items, [[e.type, e.product_id, e.price] for e in taken.events], dict(taken.skipped)]))
"""
_DOCUMENTS = """
import json
from inference.api.settings import ApiSettings
from inference.api.app import create_app
from ops.api import installation
from ops.documents.pages import adapters_page
document = create_app(installation(), ApiSettings()).openapi()
(source,) = [p for p in document["paths"]["/v1/events"]["post"]["parameters"] if p["name"] == "source"]
print(json.dumps([source["schema"]["enum"], adapters_page()]))
"""


@pytest.mark.parametrize(
    ("heading", "name", "file", "skipped"),
    [
        (
            "An input format",
            "countly",
            "feature_store/sources/adapters/countly.py",
            {"other_event": 1, "unmapped_event": 1},
        ),
        (
            "A mapping that ships",
            "tidewater",
            "feature_store/sources/adapters/mappings/tidewater.toml",
            {},
        ),
    ],
)
def test_a_format_is_one_file(
    heading: str, name: str, file: str, skipped: dict[str, int], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    assert follow(heading, copy) == [file]
    body = json.dumps(PAYLOADS[name])

    events = tmp_path / "pixel.ndjson"
    events.write_text(body)
    check = [
        "-m",
        "ops.cli.main",
        "events",
        "check",
        str(events),
        "--format",
        name,
        "--store",
        "acme",
        "--json",
    ]
    report = json.loads(run(copy, *check))
    assert (report["format"], report["events"], report["skipped"]) == (name, 1, skipped)

    items, taken, left_out = json.loads(run(copy, "-c", _COLLECT, name, body))
    assert items == 1 + sum(skipped.values())
    assert (taken, left_out) == ([["product_view", "p1", 9.5]], skipped)

    (copy / "docs").mkdir()
    (copy / "docs" / "adapters.md").write_text("<!-- formats: made by `make docs` --><!-- formats: end -->")
    key = {"SIMPERSONA_ID_KEY": "ab" * 32, "SIMPERSONA_HOME": str(tmp_path / "home")}
    sources, page = json.loads(run(copy, "-c", _DOCUMENTS, **key))
    assert name in sources
    assert f"| `{name}` |" in page
