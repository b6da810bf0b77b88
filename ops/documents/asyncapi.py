"""The topics as an AsyncAPI 3.0 document, made from the types that are on them (docs/asyncapi.yaml)."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import yaml  # type: ignore[import-untyped]

from feature_store.contract.calibration import Calibration, Curve, Gate
from feature_store.contract.erasure import Erasure
from feature_store.contract.events import SCHEMA_VERSION, Event, json_schema
from feature_store.contract.names import NAME_PATTERN
from feature_store.online.assignment import Assignment, token
from inference.api.access.keys import KeyRecord, Scope
from ops.stack.topics import DEFAULT_PARTITIONS, topics
from streams.control import Erase, Shadow, Swap
from streams.dead_letters import DeadLetter, dead_letter
from streams.settings import WorkerSettings
from streams.sinks.sink import sinks

_SCHEMAS: Final = "#/components/schemas/{name}"
_ABOUT: Final = """Clickstream events in, personas out.

Every record is JSON in UTF-8, compressed as its producer likes. Producers use murmur2 as their
partitioner, so that all records of a buyer lie in one partition, in order. Readers pass over
fields that they do not know. Topic names, partition counts and retention are those of `simpersona
stack up`; each name is a setting.
"""
_KEY: Final = {
    "type": "string",
    "description": "UTF-8 of store|buyer",
    "pattern": NAME_PATTERN.replace(r"\Z", r"\|.+$"),
}
_KEY_ID: Final = {"type": "string", "description": "the key's id", "pattern": "^[0-9a-f]{12}$"}

_BUYER: Final = "9f2c4d1e0b8a7f65"
_EVENT: Final = Event(
    schema_version=SCHEMA_VERSION,
    event_id="01J9ZK3V5Q",
    store="acme",
    buyer=_BUYER,
    type="add_to_cart",
    timestamp=1763900000123,
    product_id="p-17",
    category="home/kitchen",
    price=19.99,
    currency="USD",
    quantity=1,
)
_ASSIGNMENT: Final = Assignment(
    store="acme",
    buyer=_BUYER,
    code=17,
    token=token(17),
    type="cart-builder",
    confidence=0.71,
    forecast="one-visit-buyer",
    forecast_probability=0.23,
    distance=0.42,
    margin=0.1,
    codebook_version="2026-11-23.1",
    events=12,
    reason="code",
    event_time=1763900000123,
    assigned_at=1763900000180,
    partition=3,
    offset=1841,
)


_API_KEY: Final = KeyRecord(
    id="0123456789ab",
    store="acme",
    scopes=(Scope.PERSONAS_READ,),
    digest="ab" * 32,
    rate=500.0,
    burst=5_000.0,
    note="storefront",
    created_at=1763900000123,
)


class _Channel(NamedTuple):
    """A topic. messages: an example of each; sends and receives: what simpersona itself does there."""

    name: str
    about: str
    messages: tuple[msgspec.Struct, ...]
    sends: str | None
    receives: str | None


def _channels() -> tuple[_Channel, ...]:
    live = WorkerSettings.model_construct()
    refused = dead_letter("malformed_json", "JSON is malformed", live.topic, 3, 1842, b"{", 1763900000123)
    return (
        _Channel(
            live.topic,
            "What shoppers do. A record that breaks the contract becomes a dead letter and stops nothing. "
            "One without a value and with the header simpersona-erase asks to erase its key's buyer: all of "
            "the key before it is void. With consent withdrawn in it, all after it is void too, until one "
            "with consent given.",
            (_EVENT,),
            "The collector and the converters write events.",
            "Workers fold events into buyers.",
        ),
        _Channel(
            live.assignments_topic,
            "Personas: a buyer's first, on change of type, forecast, or the band (0.2 wide) of one of the "
            "two probabilities, and at the end of a session; a code that changed alone at events 1, 2, 3, 5, "
            "8, 13, ... of a session. type is what holds now, forecast what may hold at the session's end; "
            "null where nothing can be stated. At least once: one that comes again after a crash has the "
            "same partition, offset and reason.",
            (_ASSIGNMENT,),
            "Workers say personas.",
            "The API's streams and the sinks pass them on.",
        ),
        _Channel(
            live.dead_letters_topic,
            "Records of the clickstream that were refused, with the reason and their raw bytes.",
            (refused,),
            "Workers put refused records aside.",
            None,
        ),
        *(
            _refused_by(name, kind.dead_letters_topic, live.assignments_topic)
            for name, kind in sinks().items()
        ),
        _Channel(
            live.erasures_topic,
            "Erased buyers, compacted: events and assignments before the offset are void. Every reader that "
            "keeps data of buyers has to honour it. consent is withdrawn where later events are void too, "
            "until it is given. erased_at is null until workers have come to the "
            "request. A tombstone ends an erasure when nothing of before it can be read any more.",
            (Erasure(partition=3, before_offset=1843, requested_at=1763900000123, erased_at=1763900000456),),
            "Who asks writes where the request lies; the worker that comes to it writes when; the archiver "
            "ends it.",
            "Workers, archive, API and sinks leave erased buyers out; sinks tell their receivers.",
        ),
        _Channel(
            live.keys_topic,
            "The API's keys, compacted by id: what each may do, and the SHA-256 of its secret. A revocation "
            "is final: the API refuses a key that is revoked here, whatever the online store says.",
            (_API_KEY,),
            "The command line makes and revokes keys.",
            "The API refuses revoked keys.",
        ),
        _Channel(
            live.control_topic,
            "Commands of an operator to every worker, in one order.",
            (
                Swap(bundle="/data/models/v2"),
                Shadow(bundle="/data/models/v3"),
                Erase(store="acme", buyer=_BUYER, requested_at=1763900000123),
                Calibration(
                    store="acme",
                    codebook_version="2026-11-23.1",
                    calibration_id="c0f3a9d21b7e4",
                    fitted_on=812,
                    gate={"forecast": Gate(passed=True, sessions=812)},
                    forecast=Curve(a=0.81, b=-0.42),
                ),
            ),
            "The command line sends commands. Erasures are not asked for here any more, but may be.",
            "Workers and the API follow commands.",
        ),
    )


def _refused_by(sink: str, topic: str, assignments_topic: str) -> _Channel:
    place, created = (assignments_topic, 3, 40), 1763900000123
    letter = dead_letter(f"{sink}_refused", "422 unknown customer", *place, b"{}", created)
    return _Channel(
        topic,
        f"Assignments that were refused where the {sink} sink delivers, with the answer.",
        (letter,),
        f"The {sink} sink puts refused assignments aside.",
        None,
    )


def asyncapi() -> dict[str, Any]:
    """The document, with the topics' default names."""
    found = _channels()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "simpersona topics",
            "version": str(SCHEMA_VERSION),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "`simpersona stack up` prints the port that it took.",
            }
        },
        "channels": {channel.name: _channel(channel) for channel in found},
        "operations": {name: operation for channel in found for name, operation in _operations(channel)},
        "components": {
            "messages": {
                kind.__name__: _message(kind, message) for kind, message in _examples(found).items()
            },
            "schemas": _schemas(),
        },
    }


def asyncapi_yaml() -> str:
    """The same as YAML, its keys in the order above."""
    text: str = yaml.dump(asyncapi(), Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    return text


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes texts of several lines as such, and nothing by reference to another place."""

    def ignore_aliases(self, data: Any) -> bool:
        """Yes."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _channel(channel: _Channel) -> dict[str, Any]:
    partitions, settings = topics(DEFAULT_PARTITIONS)[channel.name]
    return {
        "address": channel.name,
        "description": channel.about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names(channel)},
        "bindings": {
            "kafka": {
                "topic": channel.name,
                "partitions": partitions,
                "topicConfiguration": {"cleanup.policy": [settings.get("cleanup.policy", "delete")]},
            }
        },
    }


def _operations(channel: _Channel) -> Iterator[tuple[str, dict[str, Any]]]:
    place = f"#/channels/{channel.name}"
    for action, summary in (("send", channel.sends), ("receive", channel.receives)):
        if summary is not None:
            yield (
                f"{action}-{channel.name}",
                {
                    "action": action,
                    "channel": {"$ref": place},
                    "summary": summary,
                    "messages": [{"$ref": f"{place}/messages/{name}"} for name in _names(channel)],
                },
            )


def _names(channel: _Channel) -> list[str]:
    return [type(example).__name__ for example in channel.messages]


def _examples(channels: Sequence[_Channel]) -> dict[type[msgspec.Struct], list[msgspec.Struct]]:
    found = defaultdict[type[msgspec.Struct], list[msgspec.Struct]](list)
    for channel in channels:
        for example in channel.messages:
            found[type(example)].append(example)
    return found


def _message(kind: type[msgspec.Struct], examples: Sequence[msgspec.Struct]) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": kind.__name__,
        "summary": (kind.__doc__ or "").splitlines()[0],
        "payload": {"$ref": _SCHEMAS.format(name=kind.__name__)},
        "examples": [{"payload": msgspec.to_builtins(example)} for example in examples],
    }
    if kind not in (Swap, Shadow, Erase, Calibration):
        message["bindings"] = {"kafka": {"key": _KEY_ID if kind is KeyRecord else _KEY}}
    return message


def _schemas() -> dict[str, Any]:
    kinds = (Assignment, DeadLetter, Erasure, KeyRecord, Swap, Shadow, Erase, Calibration)
    _, found = msgspec.json.schema_components(kinds, ref_template=_SCHEMAS)
    found = {"Event": json_schema()["$defs"]["Event"], **found}
    for schema in found.values():
        schema["description"] = inspect.cleandoc(schema["description"])
    return found
