from __future__ import annotations

import gzip
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.contract.events import MAX_EVENT_BYTES, Event, encode_event
from feature_store.contract.identity import PlainIds
from feature_store.errors import EventSourceError
from feature_store.history.archive import ArchivedEvent, write_archive_file
from feature_store.sources.files.lines import lines_of
from feature_store.sources.reader import MAX_PAYLOAD_BYTES, EventSource, open_events
from feature_store.sources.repeats import REMEMBERED, RepeatCounter
from feature_store.sources.writer import write_events
from tests.feature_store.sources.adapters import payloads
from tests.feature_store.sources.adapters.payloads import HASHER
from tests.strategies import event, histories

GOOD = encode_event(event())


def opened(path: Path, **options: Any) -> EventSource:
    return open_events(path, identity=HASHER, **options)


def everything(source: EventSource) -> list[Event]:
    return [event for batch in source.batches() for event in batch]


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def normalised_file(path: Path, **columns: list[Any]) -> Path:
    rows = len(next(iter(columns.values())))
    base: dict[str, list[Any]] = {
        "store": ["shop"] * rows,
        "ts": [datetime(2025, 2, 23, tzinfo=UTC) + timedelta(seconds=row) for row in range(rows)],
        "user_id": ["u1"] * rows,
        "session_id": ["s1"] * rows,
        "event_type": ["view"] * rows,
        "product_id": ["p1"] * rows,
        "category": [None] * rows,
        "brand": [None] * rows,
        "price": [1.5] * rows,
    }
    pl.DataFrame(base | columns).write_parquet(path)
    return path


@pytest.mark.parametrize("suffix", ["ndjson", "jsonl", "parquet"])
@settings(max_examples=25)
@given(events=histories())
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, events: list[Event]
) -> None:
    path = tmp_path_factory.mktemp("written") / f"events.{suffix}"
    assert write_events(path, [events[:3], events[3:]]) == len(events)
    source = opened(path)
    if not events:
        with pytest.raises(EventSourceError, match="no records"):
            everything(source)
        return
    assert everything(source) == events
    assert source.report.format == "contract"
    assert source.report.events == source.report.records == len(events)


def test_bad_lines_are_counted_with_their_place_and_the_next_one_goes_on(tmp_path: Path) -> None:
    lines = [
        GOOD,
        b"{",
        b"",
        b"\xff\xfe",
        json.dumps(json.loads(GOOD) | {"event_id": ""}).encode(),
        b'{"x": "' + b"x" * MAX_EVENT_BYTES + b'"}',
        GOOD.replace(b"e1", b"e2"),
    ]
    source = opened(written(tmp_path / "events.ndjson", *lines))
    assert [event.event_id for event in everything(source)] == ["e1", "e2"]
    report = source.report
    assert report.invalid == {"malformed_json": 1, "invalid_utf8": 1, "invalid_field": 1, "too_large": 1}
    assert report.records == 6
    assert [example.split(":")[0] for example in report.examples] == ["line 2", "line 4", "line 5", "line 6"]


def test_a_line_of_20_mb_is_not_held_in_memory(tmp_path: Path) -> None:
    path = written(tmp_path / "events.ndjson", b'"' + b"x" * 20_000_000, GOOD)
    tracemalloc.start()
    events = everything(opened(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(events) == 1
    assert peak < 2_000_000


def test_an_event_of_exactly_the_largest_size_is_read(tmp_path: Path) -> None:
    padding = MAX_EVENT_BYTES - len(GOOD) - len(b', "x": ""') - len(b"\n")
    largest = GOOD[:-1] + b', "x": "' + b"x" * padding + b'"}'
    assert len(everything(opened(written(tmp_path / "events.ndjson", largest)))) == 1


@given(lines=st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line), max_size=8))
def test_lines_are_cut_at_line_ends_alone(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("lines") / "events.ndjson"
    path.write_bytes(b"\n".join(lines))
    with path.open("rb") as file:
        numbered = {line.number: line.raw.removesuffix(b"\n") for line in lines_of(file, 1_000)}
    assert numbered == {number: line for number, line in enumerate(lines, 1) if line.strip()}


def test_compressed_lines_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + GOOD + b"\r\n" + GOOD))
    assert len(everything(opened(path))) == 2


def test_batches_hold_about_as_many_as_asked(tmp_path: Path) -> None:
    source = opened(written(tmp_path / "events.ndjson", *[GOOD] * 25))
    assert [len(batch) for batch in source.batches(10)] == [10, 10, 5]
    assert [len(batch) for batch in source.batches(10)] == [10, 10, 5]
    assert source.report.events == 25


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.ndjson", b"", "holds no records"),
        ("events.ndjson", b"\n \n", "holds no records"),
        ("events.csv", b"a,b", "no format is known"),
        ("events", b"a,b", "no format is known"),
        ("events.parquet", b"", "no readable parquet"),
        ("events.parquet", b"PAR1 but not really PAR1", "no readable parquet"),
        ("events.ndjson.gz", b"not compressed", "cannot be read"),
        ("events.ndjson.gz", gzip.compress(b"x" * 100_000)[:-20], "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EventSourceError, match=message):
        everything(opened(path))


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ndjson", tmp_path):
        with pytest.raises(EventSourceError, match="no file"):
            opened(path)


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = normalised_file(tmp_path / "rows.parquet", product_id=[f"p{i}" for i in range(2_000)])
    content = bytearray(path.read_bytes())
    content[8:400] = bytes(392)
    path.write_bytes(content)
    with pytest.raises(EventSourceError, match="cannot be read"):
        everything(opened(path))


def test_normalised_rows_are_named_by_file_and_row(tmp_path: Path) -> None:
    kinds = ["session_start", "view", "cart", "session_end"]
    path = normalised_file(tmp_path / "rows.parquet", event_type=kinds, price=[None, float("nan"), 2.0, None])
    source = opened(path)
    events = everything(source)
    assert [event.event_id.split("-")[1] for event in events] == ["1", "2"]
    assert [event.price for event in events] == [None, 2.0]
    assert source.report.skipped == {"session_boundary": 2}
    other = normalised_file(tmp_path / "other.parquet", event_type=kinds)
    assert everything(opened(other))[0].event_id != events[0].event_id


def test_an_archive_file_holds_contract_events(tmp_path: Path) -> None:
    archived = [ArchivedEvent(event(event_id=str(i)), 0, i, 1) for i in range(3)]
    path = write_archive_file(tmp_path, "clickstream", 0, 0, 3, archived)
    assert everything(opened(path)) == [one.event for one in archived]


def test_contract_rows_that_break_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows = [json.loads(GOOD), json.loads(GOOD) | {"type": "wishlist"}, json.loads(GOOD) | {"timestamp": -1}]
    pq.write_table(pa.Table.from_pylist(rows), path)
    source = opened(path)
    assert len(everything(source)) == 1
    assert source.report.invalid == {"invalid": 2}
    assert source.report.examples[0].startswith("row 1: ")


VENDOR_LINES = [
    ("shopify", payloads.shopify("page_viewed", {}), "client-1"),
    ("segment", payloads.segment("Signed In", {}, userId=None), "anon-1"),
    ("ga4", payloads.ga4_row("login"), "123.456"),
]


@pytest.mark.parametrize(("kind", "payload", "raw_id"), VENDOR_LINES, ids=["shopify", "segment", "ga4"])
def test_vendor_lines(tmp_path: Path, kind: str, payload: dict[str, Any], raw_id: str) -> None:
    good = json.dumps(payload).encode()
    nobody = good.replace(raw_id.encode(), b"")
    too_large = b'"' + b"x" * MAX_PAYLOAD_BYTES + b'"'
    path = written(tmp_path / "events.ndjson", good, b"{", b"[]", too_large, nobody)
    source = opened(path, kind=kind, store="acme")
    (one,) = everything(source)
    assert one.buyer == HASHER.buyer("acme", raw_id)
    assert source.report.invalid["malformed_json"] == 1
    assert source.report.invalid["too_large"] == 1
    assert source.report.skipped["no_buyer_id"] == 1
    (plain,) = everything(open_events(path, identity=PlainIds(), kind=kind, store="acme"))
    assert plain.buyer == raw_id


def test_an_exported_parquet_table_is_recognised(tmp_path: Path) -> None:
    rows = [payloads.ga4_row("purchase", items=payloads.GA4_ITEMS, event_timestamp=payloads.TIME_MS * 1000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (purchase,) = everything(opened(tmp_path / "rows.parquet", store="acme"))
    assert (purchase.type, purchase.product_id, purchase.price) == ("purchase", "p-18", 100.0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("events.ndjson", {"kind": "shopify"}, "add --store"),
        ("events.ndjson", {"kind": "shopify", "store": "no spaces"}, "no store name"),
        ("events.ndjson", {"store": "acme"}, "leave --store out"),
        ("events.ndjson", {"kind": "normalised"}, "not JSON"),
        ("events.ndjson", {"kind": "mapping"}, "add --mapping"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    path = written(tmp_path / name, GOOD)
    with pytest.raises(EventSourceError, match=message):
        opened(path, **options)


def test_columns_that_nobody_knows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "rows.parquet")
    with pytest.raises(EventSourceError, match=r"columns a, b.*--mapping"):
        opened(tmp_path / "rows.parquet")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = written(tmp_path / "out.ndjson", b"old")

    def batches() -> Any:
        yield [event()]
        raise EventSourceError("broken")

    with pytest.raises(EventSourceError, match="broken"):
        write_events(path, batches())
    assert path.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["out.csv", "no folder/out.ndjson"])
def test_a_file_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(EventSourceError, match="cannot be written"):
        write_events(tmp_path / name, [[event()]])


def test_repeats_are_counted_within_the_window() -> None:
    repeats = RepeatCounter()
    repeats.add([event(), event(), event(buyer="b2"), event(store="other")])
    assert repeats.repeated == 1
    repeats.add(event(event_id=f"new-{i}") for i in range(REMEMBERED))
    repeats.add([event()])
    assert repeats.repeated == 1


REAL_FILES = {
    "diginetica": (12_647, 12_647),
    "eshop_clothing_2008": (165_474, 165_474),
    "puffy": (41_296, 41_296),
    "rees46_multicategory": (18_112, 18_112),
    "software_store_1999": (24_344, 21_864),
    "yoochoose": (83_846, 83_846),
}


@pytest.mark.parametrize("name", REAL_FILES)
def test_every_real_file_is_read_whole(shared_data: Path, name: str) -> None:
    source = opened(shared_data / f"{name}.parquet")
    ids = {event.event_id for event in everything(source)}
    assert (source.report.records, source.report.events) == REAL_FILES[name]
    assert len(ids) == source.report.events
    assert source.report.invalid == {}


def test_a_large_parquet_file_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    random = np.random.default_rng(0)
    batches = ([event(event_id=random.bytes(100).hex()) for _ in range(2_000)] for _ in range(30))
    write_events(path, batches)
    before = pa.total_allocated_bytes()
    most = max(pa.total_allocated_bytes() - before for _ in open_events(path, identity=PlainIds()).batches())
    assert most < path.stat().st_size
