"""Our online store class, loaded by Feast by its dotted name (docs/adr/0005).

Reads go through Feast's get_online_features. Writes of buyer rows are the worker's checkpoint alone
(feature_store.online.rows): a row written outside of the fence could be half of another owner's truth, so
Feast's push is refused with a sentence instead of accepted with a race.
"""

from __future__ import annotations

import feature_store.online.feast.light_import  # noqa: F401, before anything of feast

# isort: split
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np
from feast import Entity, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import FloatList, Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.types import Float32, Int64, String

from feature_store.contract.events import record_key
from feature_store.contract.partitions import partition_of
from feature_store.errors import OnlineStoreError
from feature_store.fold.behavior import COUNTER, empty_states
from feature_store.fold.state import unpack_states
from feature_store.fold.vector import EMBEDDING_SIZE, EMBEDDINGS, MASKS, PRODUCT_SETS, SCALARS
from feature_store.fold.vectors import vectors
from feature_store.online.assignment import read_assignment
from feature_store.online.encoding import unpack_row
from feature_store.online.feast.views import FEATURES_VIEW, PERSONA_FIELDS, PERSONA_VIEW, STATE_VIEW
from feature_store.online.rows import OnlineRows

Row = tuple[datetime | None, dict[str, Value] | None]


class BuyerOnlineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Feast's configuration of the store: where it is, and of which clickstream topic."""

    type: Literal["feature_store.online.feast.store.BuyerOnlineStore"] = (
        "feature_store.online.feast.store.BuyerOnlineStore"
    )
    url: str
    topic: str


class BuyerOnlineStore(OnlineStore):  # type: ignore[misc]
    """Buyer state, buyer features and the current persona, by (store, buyer)."""

    _rows: OnlineRows | None = None

    def rows(self, config: RepoConfig) -> OnlineRows:
        """The partitioned rows behind this store; one connection pool a store object."""
        if self._rows is None:
            self._rows = OnlineRows(config.online_store.url, config.online_store.topic)
        return self._rows

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Row]:
        """Read a view for these entities; (None, None) for a buyer who is not known.

        Raises:
            OnlineStoreError: the store does not answer, or the view is not one of ours.
        """
        read = {STATE_VIEW: _state_row, FEATURES_VIEW: _features_row, PERSONA_VIEW: _persona_row}.get(
            table.name
        )
        if read is None:
            raise OnlineStoreError(f"feature view {table.name} is not kept in this store")
        rows = self.rows(config)
        found = rows.read_personas if table.name == PERSONA_VIEW else rows.read_states
        answers = _by_partition(found, [_key(e) for e in entity_keys], rows.partition_count())
        wanted = set(requested_features or [field.name for field in table.features])
        return [(None, None) if raw is None else read(raw, wanted) for raw in answers]

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Refused: see the module's docstring.

        Raises:
            OnlineStoreError: always.
        """
        raise OnlineStoreError(
            "buyer rows are written by the worker's checkpoint; to load history use `simpersona backfill`"
        )

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Nothing to prepare: rows appear with the first checkpoint."""

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Delete every row of the topic."""
        self.rows(config).clear()


def _key(entity: EntityKey) -> bytes:
    values = dict(zip(entity.join_keys, (v.string_val for v in entity.entity_values), strict=True))
    return record_key(values["store"], values["buyer"])


def _by_partition(
    read: Callable[[dict[int, list[bytes]]], dict[int, list[bytes | None]]], keys: list[bytes], count: int
) -> list[bytes | None]:
    wanted: dict[int, list[bytes]] = {}
    for key in keys:
        wanted.setdefault(partition_of(key, count), []).append(key)
    found = read(wanted)
    by_key = {
        key: row
        for partition, asked in wanted.items()
        for key, row in zip(asked, found[partition], strict=True)
    }
    return [by_key[key] for key in keys]


def _state_row(row: bytes, _wanted: set[str]) -> Row:
    _, state = unpack_row(row)
    counters = np.frombuffer(state, dtype="<i8", count=len(COUNTER))
    return _utc(int(counters[COUNTER["last_time"]])), {"state": Value(bytes_val=row)}


def _features_row(row: bytes, wanted: set[str]) -> Row:
    _, state = unpack_row(row)
    one = empty_states(1)
    slot = np.zeros(1, dtype=np.int64)
    unpack_states(one, slot, [state])
    vector = vectors(one, slot)[0]
    features = {s.name: Value(float_val=float(vector[i])) for i, s in enumerate(SCALARS)}
    for i, name in enumerate(PRODUCT_SETS):
        start = EMBEDDINGS.start + i * EMBEDDING_SIZE
        pooled = vector[start : start + EMBEDDING_SIZE].tolist()
        features[f"{name}_embedding"] = Value(float_list_val=FloatList(val=pooled))
        features[f"has_{name}"] = Value(float_val=float(vector[MASKS.start + i]))
    last_time = _utc(int(one.counters[0, COUNTER["last_time"]]))
    return last_time, {name: value for name, value in features.items() if name in wanted}


_VALUES: Final = {Int64: "int64_val", Float32: "float_val", String: "string_val"}


def _persona_row(body: bytes, wanted: set[str]) -> Row:
    assignment = read_assignment(body)
    values = {}
    for field in PERSONA_FIELDS:
        value = getattr(assignment, field.name)
        if field.name in wanted:
            values[field.name] = Value() if value is None else Value(**{_VALUES[field.dtype]: value})
    return _utc(assignment.event_time), values


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)
