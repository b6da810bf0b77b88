"""A sink that is not HTTP is one file, with settings, metrics and a topic of dead letters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.stack.kafka import Kafka
from tests.extending.recipes import follow, run
from tests.streams.sinks.webhook.feed import Feed

_KNOWN = """
import json
from ops.documents.asyncapi import asyncapi_yaml
from ops.documents.pages import settings_page
from ops.stack.topics import topics
from streams.sinks.metrics import SinkMetrics
metrics = [metric.name for metric in SinkMetrics("ndjson").registry.collect()]
print(json.dumps([settings_page(), asyncapi_yaml(), list(topics(8)), metrics]))
"""


_FULL_DISK = """
import json, resource
from pathlib import Path
from types import SimpleNamespace
from streams.sinks.ndjson import NdjsonSettings, NdjsonSink
from streams.sinks.sink import Busy, Item, Taken

def item(number):
    value = json.dumps({"events": number}).encode()
    return Item(f"0-{number}", SimpleNamespace(value=lambda: value), None)

path = Path("out.ndjson")
sink = NdjsonSink(NdjsonSettings(path=path))
assert sink.deliver([item(0)]) == Taken()
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
for bytes_left in (0, 30, 100):
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + bytes_left, unlimited[1]))
    assert isinstance(sink.deliver([item(n) for n in range(1, 20)]), Busy)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
assert sink.deliver([item(n) for n in range(1, 20)]) == Taken()
print(json.dumps([json.loads(line)["assignment"]["events"] for line in path.read_text().splitlines()]))
"""


def test_the_files_sink_leaves_no_half_line(tmp_path: Path) -> None:
    follow("A sink", tmp_path)
    assert json.loads(run(tmp_path, "-c", _FULL_DISK)) == list(range(20))


@pytest.fixture
def feed(kafka: Kafka, tmp_path: Path) -> Feed:
    return Feed(kafka, tmp_path)


@pytest.mark.integration
def test_a_sink_is_one_file(feed: Feed, tmp_path: Path) -> None:
    copy, out = tmp_path / "copy", tmp_path / "assignments.ndjson"
    assert follow("A sink", copy) == ["streams/sinks/ndjson.py"]
    settings, channels, topics, metrics = json.loads(run(copy, "-c", _KNOWN))
    assert "persona-ndjson-dead-letters" in channels
    assert "`SIMPERSONA_NDJSON_PATH`" in settings
    assert "persona-ndjson-dead-letters" in topics
    assert "simpersona_ndjson_assignments" in metrics

    environment = {
        "SIMPERSONA_KAFKA_BOOTSTRAP_SERVERS": feed.kafka.bootstrap,
        "SIMPERSONA_ASSIGNMENTS_TOPIC": feed.topic,
        "SIMPERSONA_ERASURES_TOPIC": feed.erased,
        "SIMPERSONA_HOME": str(tmp_path / "home"),
        "SIMPERSONA_NDJSON_PATH": str(out),
        "SIMPERSONA_NDJSON_GROUP": feed.group,
        "SIMPERSONA_NDJSON_STORES": '["acme"]',
        "SIMPERSONA_NDJSON_DEAD_LETTERS_TOPIC": feed.dead,
    }

    def deliver() -> dict[str, int]:
        command = ["-m", "ops.cli.main", "sink", "ndjson", "--once", "--json"]
        report: dict[str, int] = json.loads(run(copy, *command, **environment))
        return report

    feed.assign(150)
    feed.assign(5, store="other")
    delivered = deliver()
    assert (delivered["assignments"], delivered["skipped"], delivered["dead_letters"]) == (150, 5, 0)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(line["assignment"]["events"] for line in lines) == list(range(150))
    assert len({line["id"] for line in lines}) == 150
    feed.assign(3, first=200)
    assert deliver()["assignments"] == 3
    assert len(out.read_text().splitlines()) == 153
