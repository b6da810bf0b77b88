from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from bench.comparison.peers import OURS
from bench.comparison.programs.buyer import Assigned, BuyerEncoder, BuyerFold, pack, unpack
from bench.comparison.report import BEGIN, END, HEADER, Comparison, Entry, markdown, rows, write
from bench.comparison.trial import Latency, Track, Trial, trial
from bench.comparison.workload import fill, traffic
from feature_store.history.offline_fold import fold_history
from inference.bundles.bundle import load_bundle, starter_bundle_path
from inference.encoders.onnx import OnnxEncoder
from ops.stack.local import LocalStack


def make_lap(events_per_s: float) -> Trial:
    return Trial(
        events=1_000,
        seconds=1_000 / events_per_s,
        cpu_s=0.5,
        server_cpu_s=0.25,
        peak_rss_bytes=3 * 2**20,
        assignments=10,
    )


def make_race(*entries: Entry) -> Comparison:
    return Comparison(
        date="2026-11-23",
        command="make bench",
        machine={"cores": "2 cores"},
        versions={"Kafka": "4.4.0"},
        seed=7,
        entries=list(entries),
    )


@pytest.fixture
def comparison() -> Comparison:
    steady = Latency(rate=5_000.0, p50_ms=12.4, p99_ms=80.0, assignments=10)
    return make_race(
        Entry(name="ours", title="ours", trials=[make_lap(s) for s in (90, 100, 500)], latency=steady),
        Entry(name="peer", title="peer", trials=[make_lap(40)], latency=None),
        Entry(name="dead", title="dead", trials=[], latency=None, failed="it ended"),
    )


def test_a_row_holds_the_median_lap_and_how_much_faster_ours_is(comparison: Comparison) -> None:
    ours, peer, _ = rows(comparison)
    assert ours == ("ours", "1,000", "100", "", "500.0", "250.0", "3", "5,000", "12", "80")
    assert peer == ("peer", "1,000", "40", "2.5x", "500.0", "250.0", "3", "", "", "")


def test_a_failed_contestant_keeps_its_row(comparison: Comparison) -> None:
    assert rows(comparison)[2][:2] == ("dead", "failed")
    assert {len(row) for row in rows(comparison)} == {len(HEADER)}


def test_the_document_gets_the_table_and_keeps_the_rest(comparison: Comparison, tmp_path: Path) -> None:
    document, results = tmp_path / "benchmarks.md", tmp_path / "results" / "live_path.json"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write(comparison, results, document)
    assert document.read_text() == f"before\n{BEGIN}\n{markdown(comparison)}\n{END}\nafter\n"
    assert msgspec.json.decode(results.read_bytes(), type=Comparison) == comparison


def test_an_event_at_a_time_peers_reach_what_the_offline_fold_reaches() -> None:
    fold, states = BuyerFold(), dict[tuple[str, str], bytes]()
    for batch in traffic(3_000, seed=1):
        for event in batch:
            key = (event.store, event.buyer)
            kept, _ = unpack(pack(states[key], Assigned(0, -1, 0)) if key in states else None)
            states[key] = fold(kept, event)
    history = fold_history(traffic(3_000, seed=1))
    expected = OnnxEncoder(load_bundle(starter_bundle_path())).encode(history.vectors()).code.tolist()
    personas = BuyerEncoder()([states[buyer] for buyer in history.buyers])
    assert [persona.assigned.code for persona in personas] == expected


@pytest.mark.integration
def test_our_worker_runs_the_course_and_is_right(tmp_path: Path) -> None:
    with LocalStack(tmp_path, owned=True) as stack:
        track = Track(stack, stack.up(), tmp_path, cores=None)
        workload = fill(track.kafka, "workload", 2_000, seed=1)
        done = trial(track, OURS, Path(sys.executable), workload, limit_s=120)
    assert done.events == 2_000
    assert done.assignments >= len(workload.codes)
