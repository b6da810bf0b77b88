"""The Feast feature store of this project, made from settings instead of a feature_store.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feast import FeatureStore


def open_feature_store(store_url: str, topic: str, home: Path) -> FeatureStore:
    """Feast over the online store at `store_url`; its registry lies in `home`."""
    import feature_store.online.feast.light_import  # noqa: F401

    # isort: split
    from feast import FeatureStore, RepoConfig

    from feature_store.online.feast.store import BuyerOnlineStoreConfig

    home.mkdir(parents=True, exist_ok=True)
    config = RepoConfig(
        project="simpersona",
        provider="local",
        registry=str(home / "feast-registry.db"),
        online_store=BuyerOnlineStoreConfig(url=store_url, topic=topic),
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


def apply(store_url: str, topic: str, home: Path) -> None:
    """Register entities, views and services (`feast apply`)."""
    store = open_feature_store(store_url, topic, home)
    from feature_store.online.feast.views import definitions

    store.apply(definitions(str(home / "archive")))
