"""Whose ids the buyers of history have."""

from __future__ import annotations

from pathlib import Path

from feature_store.contract.identity import BuyerHasher
from feature_store.sources.choice import SourceChoice
from ops.history.files import history_batches

HASHER = BuyerHasher(bytes(32))
ROWS = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
    "2026-11-01 00:00:00 UTC,view,7,1,a.b,acme,9.5,u1,s1\n"
)


def test_a_shops_own_ids_become_those_of_the_live_path_where_history_meets_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    source = SourceChoice(kind="rees46", store="acme")
    ((plain,),) = history_batches(path, source)
    ((named,),) = history_batches(path, source, identity=HASHER)
    assert plain.buyer == "u1"
    assert named.buyer == HASHER.buyer("acme", "u1")
