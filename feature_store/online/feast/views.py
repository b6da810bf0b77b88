"""Feast definitions: who is described (entities), and what can be asked of them (feature views).

Three views are read, one row is written: buyer_features is computed from the state row when it is
read, so it can never disagree with it.
"""

from __future__ import annotations

import feature_store.online.feast.light_import  # noqa: F401, before anything of feast

# isort: split
from datetime import timedelta
from typing import Final, get_args, get_type_hints

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bytes, Float32, Int64, String

from feature_store.contract.names import NAME_RULE
from feature_store.fold.vector import PRODUCT_SETS, SCALARS
from feature_store.online.assignment import Assignment

STATE_VIEW: Final = "buyer_state"
FEATURES_VIEW: Final = "buyer_features"
PERSONA_VIEW: Final = "persona"

STORE = Entity(name="store", value_type=ValueType.STRING, description=f"the shop, {NAME_RULE}")
BUYER = Entity(name="buyer", value_type=ValueType.STRING, description="the shopper, pseudonymised per store")

FEATURE_FIELDS: Final = (
    [Field(name=s.name, dtype=Float32, description=f"{s.meaning}; {s.unit}") for s in SCALARS]
    + [Field(name=f"{name}_embedding", dtype=Array(Float32)) for name in PRODUCT_SETS]
    + [Field(name=f"has_{name}", dtype=Float32) for name in PRODUCT_SETS]
)
_NOT_FEATURES: Final = {"schema_version", "store", "buyer", "reason", "event_time", "partition", "offset"}
"""Of an assignment: the entities, the row's time, and what only its topic is asked for."""
_DTYPES: Final = {int: Int64, float: Float32, str: String}
PERSONA_FIELDS: Final = [
    Field(name=name, dtype=next(_DTYPES[kind] for kind in (hint, *get_args(hint)) if kind in _DTYPES))
    for name, hint in get_type_hints(Assignment).items()
    if name not in _NOT_FEATURES
]


def definitions(archive: str) -> list[Entity | FeatureView | FeatureService]:
    """Everything that `feast apply` registers; `archive` is the folder of the parquet archive."""
    # Feast wants a source a view; the archive of events is where every view can be computed from.
    source = FileSource(name="archive", path=archive, timestamp_field="timestamp")
    views = [
        FeatureView(name=name, entities=[STORE, BUYER], schema=fields, source=source, ttl=timedelta(0))
        for name, fields in (
            (STATE_VIEW, [Field(name="state", dtype=Bytes)]),
            (FEATURES_VIEW, FEATURE_FIELDS),
            (PERSONA_VIEW, PERSONA_FIELDS),
        )
    ]
    _, features, persona = views
    return [
        STORE,
        BUYER,
        *views,
        FeatureService(name="buyer_features", features=[features]),
        FeatureService(name="persona", features=[persona]),
    ]
