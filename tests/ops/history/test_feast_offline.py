"""The offline store that Feast is told of is a source of events like any file."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from feature_store.contract.events import Event, record_key
from feature_store.history.archive import ArchivedEvent, write_archive_file
from feature_store.online.feast.repo import open_feature_store
from feature_store.sources.writer import write_events
from ops.cli.encoder.train import train
from ops.cli.files.fold import fold
from ops.traffic import TrafficConfig, generate
from training.errors import DatasetError

TOPIC, PARTITIONS = "clickstream", 3


@pytest.fixture
def events() -> list[Event]:
    return [event for batch in generate(TrafficConfig(buyers=40, stores=2), 5) for event in batch]


@pytest.fixture
def offline_store(events: list[Event], tmp_path: Path) -> Path:
    """What the archiver writes, found through Feast's definitions."""
    open_feature_store("redis://unused", TOPIC, tmp_path)  # imports feast the light way
    from feast import FeatureView

    from feature_store.online.feast.views import definitions

    for number in range(PARTITIONS):
        mine = [e for e in events if sum(record_key(e.store, e.buyer)) % PARTITIONS == number]
        middle = len(mine) // 2
        for start, end in ((0, middle), (middle, len(mine))):
            rows = [ArchivedEvent(mine[i], number, i, mine[i].timestamp) for i in range(start, end)]
            write_archive_file(tmp_path / "archive", TOPIC, number, start, end, rows)
    views = [d for d in definitions(str(tmp_path / "archive")) if isinstance(d, FeatureView)]
    (location,) = {view.batch_source.path for view in views}
    return Path(location)


def test_it_folds_like_the_events_it_was_made_from(
    offline_store: Path, events: list[Event], tmp_path: Path
) -> None:
    write_events(tmp_path / "events.ndjson", [events])
    tables = []
    for source in (offline_store, tmp_path / "events.ndjson"):
        out = tmp_path / f"{source.name}.features.parquet"
        done = CliRunner().invoke(fold, [str(source), "--out", str(out)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        tables.append(pl.read_parquet(out).sort("store", "buyer"))
    assert len(tables[0]) == 40
    assert tables[0].equals(tables[1])


def test_training_reads_it(offline_store: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="40 buyers cannot fill 256 codes"):
        CliRunner().invoke(
            train, [str(offline_store), "--out", str(tmp_path / "bundle")], catch_exceptions=False
        )
    assert not list(tmp_path.glob("*bundle*"))
