"""What the operators' own resources may hold, of the fields that the chart uses: no package has them.

Written after the custom resource definitions of KEDA (ScaledObject, TriggerAuthentication) and Strimzi
(KafkaTopic), and KEDA's pages of its scalers kafka and cpu.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}


def _object(needed: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**needed, **(optional or {})},
        "required": list(needed),
        "additionalProperties": False,
    }


def _trigger(kind: str, metadata: Schema, optional: dict[str, Schema]) -> Schema:
    return _object({"type": {"const": kind}, "metadata": metadata}, optional)


_FLAG: Schema = {"enum": ["true", "false"]}
_NUMBER: Schema = {"type": "string", "pattern": "^[1-9][0-9]*$"}
_KAFKA = _trigger(
    "kafka",
    _object(
        {"bootstrapServers": TEXT, "consumerGroup": TEXT, "topic": TEXT},
        {
            "lagThreshold": _NUMBER,
            "activationLagThreshold": _NUMBER,
            "offsetResetPolicy": {"enum": ["earliest", "latest"]},
            "allowIdleConsumers": _FLAG,
            "excludePersistentLag": _FLAG,
            "limitToPartitionsWithLag": _FLAG,
            "sasl": {"enum": ["plaintext", "scram_sha256", "scram_sha512"]},
            "tls": {"enum": ["enable", "disable"]},
        },
    ),
    {"authenticationRef": _object({"name": TEXT}), "name": TEXT},
)
_CPU = _trigger("cpu", _object({"value": _NUMBER}), {"metricType": {"enum": ["Utilization", "AverageValue"]}})

_SCALED_OBJECT = _object(
    {
        "scaleTargetRef": _object({"name": TEXT}, {"apiVersion": TEXT, "kind": TEXT}),
        "triggers": {"type": "array", "minItems": 1, "items": {"oneOf": [_KAFKA, _CPU]}},
    },
    {
        "minReplicaCount": COUNT,
        "maxReplicaCount": COUNT,
        "pollingInterval": COUNT,
        "cooldownPeriod": COUNT,
        "advanced": _object(
            {},
            {
                # `behavior` is a HorizontalPodAutoscaler's; test_resources.py checks it as one.
                "horizontalPodAutoscalerConfig": _object({}, {"name": TEXT, "behavior": {"type": "object"}}),
                "restoreToOriginalReplicaCount": {"type": "boolean"},
            },
        ),
    },
)
_TRIGGER_AUTHENTICATION = _object(
    {
        "secretTargetRef": {
            "type": "array",
            "minItems": 1,
            "items": _object(
                {
                    "parameter": {"enum": ["username", "password", "ca", "cert", "key", "sasl", "tls"]},
                    "name": TEXT,
                    "key": TEXT,
                }
            ),
        }
    }
)
_KAFKA_TOPIC = _object(
    {
        "partitions": {"type": "integer", "minimum": 1},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 32767},
    },
    {"config": {"type": "object"}, "topicName": TEXT},
)

SCHEMAS: dict[tuple[str, str], Schema] = {
    ("keda.sh/v1alpha1", "ScaledObject"): _SCALED_OBJECT,
    ("keda.sh/v1alpha1", "TriggerAuthentication"): _TRIGGER_AUTHENTICATION,
    ("kafka.strimzi.io/v1beta2", "KafkaTopic"): _KAFKA_TOPIC,
}
"""(API version, kind) -> the schema of `spec`."""
