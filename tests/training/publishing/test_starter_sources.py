"""What the starter bundle was trained on: generated traffic and nothing else (the shared data's licences)."""

from __future__ import annotations

import re
from pathlib import Path

from inference.bundles.bundle import load_bundle, starter_bundle_path

SCRIPT = Path(__file__).parents[3] / "inference" / "make_starter_bundle"
GENERATED = re.compile(r"made by: simpersona events generate --out (\S+) ")


def test_every_source_of_the_starter_bundle_was_generated() -> None:
    sources = load_bundle(starter_bundle_path()).manifest.sources
    made = {match[1] for line in sources if (match := GENERATED.match(line))}
    files = {line.split(",")[0] for line in sources if not line.startswith("made by: ")}
    assert made
    assert files == made


def test_the_script_that_trains_it_reads_only_what_it_generates() -> None:
    script = SCRIPT.read_text()
    trained = re.search(r'" train (.+?) --out', script)
    generated = re.search(r'^generate="events generate --out (\S+) ', script, re.MULTILINE)
    assert trained
    assert generated
    assert trained[1] == generated[1]
    assert "shared/data" not in script
