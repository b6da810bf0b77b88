"""Values that do not fit are refused before anything is installed, with a line that names them."""

from __future__ import annotations

import copy
import json
from typing import Any

import helm_python as helm
import jsonschema
import pytest
import yaml

from tests.ops.chart.rendering import CHART, LEAST, named, render, settings_of
from tests.ops.chart.values_schema import settable

SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    """LEAST, with a value at the end of a path."""
    values = copy.deepcopy(LEAST)
    place = values
    *folders, last = path.split(".")
    for folder in folders:
        place = place.setdefault(folder, {})
    place[last] = value
    return values


def test_settings_are_those_that_no_other_value_sets() -> None:
    listed = SCHEMA["$defs"]["env"]["propertyNames"]["enum"]
    assert listed == settable(), "copy the list on the right into values.schema.json"


def test_the_schema_knows_every_value_and_no_other() -> None:
    """Each object of values.yaml but a free one has the names of the schema."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def compare(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
        if "properties" not in schema:
            return
        assert values.keys() == schema["properties"].keys() - {"global"}, path
        for name, value in values.items():
            if isinstance(value, dict):
                compare(value, schema["properties"][name], f"{path}.{name}")

    compare(yaml.safe_load((CHART / "values.yaml").read_text()), SCHEMA, "values")


@pytest.mark.parametrize(
    "url",
    [
        "redis://valkey:6379/0",
        "rediss://user:pw@valkey:6379/0?ssl_ca_certs=/etc/simpersona/store/ca.crt",
        "redis+cluster://a:6379,b:6379",
        "rediss+cluster://a:6379,b:6379?ssl_ca_certs=/etc/simpersona/store/ca.crt",
        "redis+sentinel://a:26379,b:26379/shops",
    ],
)
def test_every_address_of_a_store_is_taken(url: str) -> None:
    rendered = render(changed("store.url", url))
    (container,) = named(rendered, "Deployment", "worker")["spec"]["template"]["spec"]["containers"]
    assert settings_of(container)["SIMPERSONA_STORE_URL"] == url


BAD: list[tuple[str, Any, str]] = [
    ("kafka.bootstrapServers", "", "/kafka/bootstrapServers"),
    ("kafka.bootstrapServers", "kafka", "/kafka/bootstrapServers"),
    ("kafka.bootstrapServers", "PLAINTEXT://kafka:9092", "/kafka/bootstrapServers"),
    ("kafka.securityProtocol", "TLS", "/kafka/securityProtocol"),
    ("kafka.securityProtocol", "SASL_SSL", "/kafka/sasl/secret"),
    ("kafka.brokers", "kafka:9092", "brokers"),
    ("store.url", "", "/store/url"),
    ("store.url", "valkey:6379", "store.url is no address of an online store"),
    ("store.url", "redis+sentinel://a:26379", "store.url is no address of an online store"),
    ("store.url", "redis+ring://a:26379", "store.url is no address of an online store"),
    ("identity.secret", "", "/identity/secret"),
    ("topics.partitions", 0, "/topics/partitions"),
    ("topics.partitions", "many", "/topics/partitions"),
    ("topics.managedBy", "strimzi", "/topics/strimziCluster"),
    ("worker.replicas", 9, "worker.replicas is 9, but topics.partitions is 8"),
    ("worker.autoscaling", {"enabled": True, "maxReplicas": 9}, "worker.autoscaling.maxReplicas is 9"),
    (
        "worker.autoscaling",
        {"enabled": True, "minReplicas": 5, "maxReplicas": 3},
        "minReplicas is 5, maxReplicas 3",
    ),
    ("worker.env", {"SIMPERSONA_CACHE": 5}, "SIMPERSONA_CACHE"),
    ("worker.env", {"SIMPERSONA_INSTANCE_ID": "one"}, "SIMPERSONA_INSTANCE_ID"),
    ("env", {"SIMPERSONA_ID_KEY": "00"}, "SIMPERSONA_ID_KEY"),
    ("worker.resources.limits", {"memory": "2 GB"}, "/worker/resources/limits/memory"),
    ("api.ingress.enabled", True, "/api/ingress/host"),
    ("webhook.enabled", True, "/webhook/url"),
    ("retrain.enabled", True, "/retrain/image"),
    ("retrain.schedule", "daily", "/retrain/schedule"),
    ("triton.enabled", True, "/triton/image"),
    ("data.accessMode", "ReadOnlyMany", "/data/accessMode"),
    ("replicas", 3, "replicas"),
]


@pytest.mark.parametrize(("path", "value", "line"), BAD, ids=[f"{path}={value}" for path, value, _ in BAD])
def test_a_value_that_does_not_fit_is_named(path: str, value: Any, line: str) -> None:
    with pytest.raises(helm.HelmError) as refused:
        render(changed(path, value))
    assert line in str(refused.value)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(helm.HelmError) as refused:
        render({})
    for place in ("/kafka/bootstrapServers", "/store/url", "/identity/secret"):
        assert place in str(refused.value)
