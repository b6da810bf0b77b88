"""Quix Streams: a stateful apply, state in RocksDB with a changelog topic, one event at a time."""

from __future__ import annotations

from quixstreams import Application, State, message_context

from bench.comparison.programs.buyer import (
    CHECKPOINT_S,
    PRODUCER,
    BuyerEncoder,
    BuyerFold,
    pack,
    surroundings,
    unpack,
)
from feature_store.contract.events import decode_event

fold, encoder = BuyerFold(), BuyerEncoder()


def tag(raw: bytes, state: State) -> bytes | None:
    """The assignment of an event, if anything changed."""
    event = decode_event(raw)
    kept, before = unpack(state.get_bytes("buyer"))
    after = fold(kept, event)
    (persona,) = encoder([after])
    state.set_bytes("buyer", pack(after, persona.assigned))
    here = message_context()
    return encoder.message(event, persona, before, here.partition, here.offset)


def main() -> None:
    """Run until SIGTERM."""
    comparison = surroundings()
    app = Application(
        broker_address=comparison.bootstrap_servers,
        consumer_group=comparison.group,
        auto_offset_reset="earliest",
        commit_interval=CHECKPOINT_S,
        producer_extra_config=PRODUCER,
        state_dir=f"{comparison.folder}/state",
        loglevel="WARNING",
    )
    events = app.topic(comparison.input, key_deserializer="bytes", value_deserializer="bytes")
    assignments = app.topic(comparison.output, key_serializer="bytes", value_serializer="bytes")
    stream = app.dataframe(events)
    stream = stream.apply(tag, stateful=True)
    stream = stream.filter(lambda message: message is not None)
    stream.to_topic(assignments)
    app.run()


if __name__ == "__main__":
    main()
