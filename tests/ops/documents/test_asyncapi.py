"""docs/asyncapi.yaml says what is on the topics: references lead on, examples are what the code writes.

That it fits the specification's own schema was checked by hand (no Python package ships that schema); the
rules of AsyncAPI 3.0 that this document could break are here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from feature_store.contract.erasure import decode_erasure
from feature_store.contract.events import decode_event
from feature_store.online.assignment import decode_assignment
from inference.api.access.keys import decode_key
from ops.documents.pages import DOCS
from ops.stack.topics import DEFAULT_PARTITIONS, topics
from streams.control import decode_command
from streams.dead_letters import decode_dead_letter

DOCUMENT = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
MESSAGES = DOCUMENT["components"]["messages"]
DECODERS = {
    "Event": decode_event,
    "Assignment": decode_assignment,
    "DeadLetter": decode_dead_letter,
    "Erasure": decode_erasure,
    "KeyRecord": decode_key,
    "Swap": decode_command,
    "Shadow": decode_command,
    "Erase": decode_command,
}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def at(reference: str) -> Any:
    found = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_it_has_the_parts_of_asyncapi_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    known = {"asyncapi", "info", "defaultContentType", "servers", "channels", "operations", "components"}
    assert DOCUMENT.keys() <= known


def test_every_topic_is_a_channel_with_its_partitions() -> None:
    said = {
        name: channel["bindings"]["kafka"]["partitions"] for name, channel in DOCUMENT["channels"].items()
    }
    assert said == {name: count for name, (count, _) in topics(DEFAULT_PARTITIONS).items()}
    compacted = DOCUMENT["channels"]["simpersona-erasures"]["bindings"]["kafka"]["topicConfiguration"]
    assert compacted["cleanup.policy"] == ["compact"]


def test_references_lead_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 30
    for reference in found:
        assert at(reference), reference


def test_operations_name_messages_of_their_channel() -> None:
    for name, operation in DOCUMENT["operations"].items():
        channel = operation["channel"]["$ref"]
        assert name == f"{operation['action']}-{at(channel)['address']}"
        assert operation["action"] in ("send", "receive")
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/")


@pytest.mark.parametrize("name", MESSAGES)
def test_examples_are_what_the_schema_and_the_code_say(name: str) -> None:
    schema = {**at(MESSAGES[name]["payload"]["$ref"]), "components": DOCUMENT["components"]}
    for example in MESSAGES[name]["examples"]:
        jsonschema.Draft7Validator.check_schema(schema)  # the dialect of AsyncAPI's own schemas
        jsonschema.validate(example["payload"], schema, jsonschema.Draft7Validator)
        DECODERS[name](json.dumps(example["payload"]).encode())


def test_a_payload_that_lacks_something_is_against_the_schema() -> None:
    for name, message in MESSAGES.items():
        schema = {**at(message["payload"]["$ref"]), "components": DOCUMENT["components"]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"quite": "another"}, schema, jsonschema.Draft7Validator)
        assert name in DECODERS
