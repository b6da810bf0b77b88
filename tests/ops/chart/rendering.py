"""The chart as Helm renders it, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "deploy" / "helm" / "simpersona"
Resource = dict[str, Any]

LEAST: dict[str, Any] = {
    "kafka": {"bootstrapServers": "kafka:9092"},
    "store": {"url": "redis://valkey:6379/0"},
    "identity": {"secret": "simpersona"},
}
"""What has no default."""

MOST: dict[str, Any] = {
    "image": {"pullSecrets": ["registry"]},
    "kafka": {
        "bootstrapServers": "a:9092,b:9092",
        "securityProtocol": "SASL_SSL",
        "sasl": {"secret": "kafka-user"},
        "tls": {"caSecret": "kafka-ca", "clientSecret": "kafka-user"},
    },
    "store": {"urlSecret": "store", "caSecret": "store-ca"},
    "identity": {"secret": "simpersona"},
    "topics": {
        "managedBy": "strimzi",
        "strimziCluster": "kafka",
        "strimziNamespace": "kafka",
        "partitions": 64,
    },
    "data": {"storageClass": "nfs"},
    "env": {"SIMPERSONA_TOPIC": "clicks", "SIMPERSONA_WINDOW_STORES": 500},
    "worker": {"autoscaling": {"enabled": True}, "env": {"SIMPERSONA_CACHE_MB": 1024}},
    "api": {
        "ingress": {"enabled": True, "host": "personas.example", "className": "nginx", "tlsSecret": "tls"}
    },
    "webhook": {
        "enabled": True,
        "url": "https://shop.example/personas",
        "secret": "webhook",
        "secondSecretKey": "next",
    },
    "retrain": {"enabled": True, "image": "simpersona-training:0.2.0"},
    "triton": {"enabled": True, "image": "tritonserver", "gpus": 1},
    "networkPolicy": {
        "apiFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
        "metricsFrom": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 9092}, {"port": 6379}]}],
    },
    "nodeSelector": {"pool": "personas"},
    "tolerations": [{"key": "personas", "operator": "Exists"}],
    "priorityClassName": "high",
    "serviceAccount": {"annotations": {"cloud/role": "personas"}},
    "podAnnotations": {"team": "personas"},
}
"""Every branch of the templates."""


def render(values: Mapping[str, Any]) -> list[Resource]:
    """The resources, in the order of the templates.

    Raises:
        helm.HelmError: the values do not fit.
    """
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(dict(values))
        files = chart.render(dict(values), name="shop", namespace="personas")
    return [
        resource
        for path, text in files.items()
        if path.endswith(".yaml")
        for resource in yaml.safe_load_all(text)
        if resource
    ]


def named(resources: list[Resource], kind: str, name: str) -> Resource:
    (found,) = [
        it for it in resources if it["kind"] == kind and it["metadata"]["name"] == f"shop-simpersona-{name}"
    ]
    return found


def pods(resources: list[Resource]) -> Iterator[tuple[str, Resource]]:
    """(what it is, pod template) of everything that runs."""
    for resource in resources:
        match resource["kind"]:
            case "Deployment" | "Job":
                template = resource["spec"]["template"]
            case "CronJob":
                template = resource["spec"]["jobTemplate"]["spec"]["template"]
            case _:
                continue
        yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


def containers(resources: list[Resource]) -> dict[str, Resource]:
    """What it is -> its one container."""
    found = {}
    for kind, template in pods(resources):
        (found[kind],) = template["spec"]["containers"]
    return found


def settings_of(container: Resource) -> dict[str, str | None]:
    """Its environment; None: the value is in a Secret."""
    return {it["name"]: it.get("value") for it in container.get("env", [])}
