"""A file that nobody described is understood, and its mapping is one that the reader takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from feature_store.contract.events import Event
from feature_store.contract.identity import PlainIds
from feature_store.errors import EventSourceError
from feature_store.sources.inspecting.inspection import Inspection, inspect_file, sampled
from feature_store.sources.inspecting.reading import records_of
from feature_store.sources.inspecting.words import meaning
from feature_store.sources.reader import open_events
from ops.cli.files.events import events as events_command


def inspected(path: Path, store: str | None = "acme") -> Inspection:
    layout, records = records_of(path)
    return inspect_file(path, layout, records, store)


def read(path: Path, folder: Path) -> list[Event]:
    """The events of a file, by the mapping that was written for it."""
    mapping = folder / "mapping.toml"
    mapping.write_text(inspected(path).mapping)
    return [
        event
        for batch in open_events(path, identity=PlainIds(), mapping=mapping).batches()
        for event in batch
    ]


def written(folder: Path, *records: Any) -> Path:
    path = folder / "records.ndjson"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_flat_rows_with_a_time_without_a_zone(tmp_path: Path) -> None:
    rows = [
        {
            "Datum": 1,
            "visitorId": "v1",
            "eventTime": "2026-11-20 10:00:00",
            "action": "Added to Basket",
            "SKU": "s1",
            "Price": 5,
        },
        {
            "Datum": 1,
            "visitorId": "v1",
            "eventTime": "2026-11-20 10:01:00",
            "action": "Banner",
            "SKU": "s1",
            "Price": 5,
        },
    ]
    path = written(tmp_path, *rows)
    (event,) = read(path, tmp_path)
    assert (event.type, event.buyer, event.product_id, event.price) == ("add_to_cart", "v1", "s1", 5.0)
    assert event.timestamp == 1_795_168_800_000
    found = inspected(path)
    assert found.zone == "UTC (assumed)"
    assert [(named.name, named.becomes) for named in found.names][-1] == ("Banner", None)
    assert found.lost == {"unmapped_event": 1}


def test_a_german_export_of_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "ereignisse.csv"
    rows = [
        "Zeitpunkt;Kunden-Nr.;Ereignis;Artikel-Nr.;Warengruppe;Stückpreis;Menge;Gesamtbetrag;Währung;Bestell-Nr.",
        "20.11.2026 11:00:00;K1;Produktansicht;A-1;Schuhe;1.299,90;;;EUR;",
        "20.11.2026 11:05;K1;Bestellung;;;;;2.599,80;EUR;R-7",
    ]
    path.write_bytes("\r\n".join(rows).encode("cp1252"))
    layout, records = records_of(path)
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(inspect_file(path, layout, records, "laden", "Europe/Berlin").mapping)
    source = open_events(path, identity=PlainIds(), mapping=mapping)
    view, purchase = [event for batch in source.batches() for event in batch]
    assert (view.type, view.buyer, view.product_id, view.price) == ("product_view", "K1", "A-1", 1299.9)
    assert (view.category, view.currency, view.timestamp) == ("Schuhe", "EUR", 1_795_168_800_000)
    assert (purchase.type, purchase.value, purchase.order is not None) == ("purchase", 2599.8, True)


def test_events_inside_a_session_and_lines_of_an_order(tmp_path: Path) -> None:
    actions = [
        {"kind": 1, "type": "click", "sku": "a", "ts": 1_795_168_800},
        {
            "type": "order",
            "ts": 1_795_168_860,
            "order_id": "o1",
            "total": 9.5,
            "cart": [{"sku": "b", "price": 9.5, "qty": 1}],
        },
    ]
    view, purchase = read(written(tmp_path, {"visitor": "v9", "actions": actions}), tmp_path)
    assert (view.type, view.product_id, view.timestamp) == ("product_view", "a", 1_795_168_800_000)
    assert (purchase.type, purchase.value, purchase.product_id, purchase.buyer) == (
        "purchase",
        9.5,
        "b",
        "v9",
    )


def test_pages_are_told_by_their_addresses(tmp_path: Path) -> None:
    rows = [
        {
            "client_id": "c",
            "ts": 1_795_168_800_000 + i,
            "event": "page_viewed",
            "url": f"https://x.example{url}",
        }
        for i, url in enumerate(["/products/mat?x=1", "/collections/beds", "/cart", "/about"])
    ]
    found = read(written(tmp_path, *rows), tmp_path)
    assert [event.type for event in found] == ["product_view", "list_view", "view_cart", "page_view"]
    assert (found[0].product_id, found[1].category) == ("mat", "beds")


def test_examples_hide_ids(tmp_path: Path) -> None:
    row = {"user_id": "ann@example.com", "event": "login", "time": "2026-11-20T10:00:00Z"}
    assert "ann" not in json.dumps(inspected(written(tmp_path, row)).examples)


def test_what_cannot_be_found_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, {"a": 1})
    ran = CliRunner().invoke(events_command, ["inspect", str(path), "--out", str(tmp_path / "m.toml")])
    assert isinstance(ran.exception, EventSourceError)
    assert "a buyer's id" in str(ran.exception)
    assert not (tmp_path / "m.toml").exists()


def test_the_command_writes_a_mapping_that_check_accepts(tmp_path: Path) -> None:
    row = {
        "client_id": "c",
        "ts": 1_795_168_800_000,
        "event": "purchase",
        "revenue": "12.50",
        "order_id": "o",
    }
    path, out = written(tmp_path, row), tmp_path / "m.toml"
    ran = CliRunner().invoke(
        events_command, ["inspect", str(path), "--store", "acme", "--out", str(out)], catch_exceptions=False
    )
    assert "'purchase' x1: purchase" in ran.stdout
    checked = CliRunner().invoke(
        events_command, ["check", str(path), "--mapping", str(out), "--json"], catch_exceptions=False
    )
    assert json.loads(checked.stdout)["types"] == {"purchase": 1}


def test_the_real_pixel_gets_the_mapping_that_ships(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "puffy_raw.parquet"
    by_hand = [
        event for batch in open_events(path, identity=PlainIds(), kind="puffy").batches() for event in batch
    ]
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(inspected(path, "puffy").mapping)
    found = open_events(path, identity=PlainIds(), mapping=mapping)
    assert [event for batch in found.batches() for event in batch] == by_hand


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("Product Viewed", "product_view"),
        ("dl_purchase", "purchase"),
        ("add_to_cart", "add_to_cart"),
        ("removeFromCart", "remove_from_cart"),
        ("checkout_started", "begin_checkout"),
        ("Order Refunded", "refund"),
        ("refund_requested", None),
        ("order_cancelled", "refund"),
        ("Produkt angesehen", "product_view"),
        ("In den Warenkorb gelegt", "add_to_cart"),
        ("aus dem Warenkorb entfernt", "remove_from_cart"),
        ("Warenkorb geöffnet", "view_cart"),
        ("Bestellung abgeschlossen", "purchase"),
        ("Bestellung storniert", "refund"),
        ("Bestellvorgang abgebrochen", None),
        ("Rückerstattung", "refund"),
        ("Cart Abandoned", None),
        ("heartbeat", None),
    ],
)
def test_what_a_name_means(name: str, becomes: str | None) -> None:
    assert meaning(name) == becomes


def test_a_sample_is_bounded_and_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feature_store.sources.inspecting.inspection.SAMPLE", 10)
    kept = sampled(iter(range(1_000)))
    assert len(kept) <= 11
    assert kept[0] == 0
    assert kept[-1] > 800
