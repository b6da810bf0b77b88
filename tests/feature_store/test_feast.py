"""What Feast reads is what the checkpoint wrote, on a real Valkey."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_store.contract.events import record_key
from feature_store.contract.partitions import partition_of
from feature_store.errors import OnlineStoreError
from feature_store.fold.vector import SCALARS
from feature_store.history.offline_fold import fold_history
from feature_store.online.assignment import Assignment, encode_assignment
from feature_store.online.encoding import Progress, RowHeader, pack_row
from feature_store.online.feast.repo import apply, open_feature_store
from feature_store.online.fence import Checkpoint, Persona
from feature_store.online.rows import OnlineRows
from ops.stack.valkey import Valkey
from tests.strategies import event

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore"),  # feast's own imports warn
]


def test_three_views_of_one_row(valkey: Valkey, topic_name: str, tmp_path: Path) -> None:
    apply(valkey.address, topic_name, tmp_path)
    rows = OnlineRows(valkey.address, topic_name)
    rows.claim_partition_count(4)
    history = fold_history([[event(product_id="p1", price=12.5), event(event_id="2", type="add_to_cart")]])
    key = record_key("acme", "b1")
    number = partition_of(key, 4)
    row = pack_row(RowHeader(0, 1, 7, -1, 0, 1), history.states()["acme", "b1"])
    rows.checkpoint(number, Checkpoint(Progress(2, 0), rows={key: row}), None)
    assigned = encode_assignment(
        Assignment(
            store="acme",
            buyer="b1",
            code=7,
            token="<|persona_7|>",
            type=None,
            confidence=None,
            distance=1.5,
            margin=0.5,
            codebook_version="v",
            events=2,
            reason="code",
            event_time=1_763_900_000_000,
            assigned_at=5,
            partition=number,
            offset=1,
        )
    )
    rows.write_personas({number: [Persona(key, 1, assigned)]}, b"v", {number: (Progress(2, 0), 0)})
    store = open_feature_store(valkey.address, topic_name, tmp_path)
    asked = [{"store": "acme", "buyer": "b1"}, {"store": "acme", "buyer": "stranger"}]
    features = [f"buyer_features:{s.name}" for s in SCALARS] + ["buyer_features:viewed_embedding"]
    found = store.get_online_features(features=features, entity_rows=asked).to_dict()
    vector = history.vectors()[0]
    assert [found[s.name][0] for s in SCALARS] == pytest.approx(vector[: len(SCALARS)].tolist())
    assert found["viewed_embedding"][0] == pytest.approx(vector[16:144].tolist())
    assert all(values[1] is None for name, values in found.items() if name not in ("store", "buyer"))
    persona = store.get_online_features(
        features=store.get_feature_service("persona"), entity_rows=asked
    ).to_dict()
    assert (persona["code"], persona["token"]) == ([7, None], ["<|persona_7|>", None])
    assert persona["type"] == [None, None]
    assert (persona["distance"], persona["assigned_at"]) == ([1.5, None], [5, None])
    names = "code token type confidence forecast forecast_probability distance margin"
    names += " codebook_version events assigned_at"
    assert persona.keys() - {"store", "buyer"} == set(names.split())


def test_a_push_around_the_fence_is_refused(valkey: Valkey, topic_name: str, tmp_path: Path) -> None:
    import pandas as pd

    apply(valkey.address, topic_name, tmp_path)
    store = open_feature_store(valkey.address, topic_name, tmp_path)
    frame = pd.DataFrame(
        {"store": ["a"], "buyer": ["b"], "state": [b"x"], "timestamp": [pd.Timestamp.now("UTC")]}
    )
    with pytest.raises(OnlineStoreError, match="simpersona backfill"):
        store.write_to_online_store("buyer_state", frame)
