"""Read assignments from Kafka directly, with any client of it; confluent-kafka here.

Offsets are committed after an assignment was dealt with. Who was erased is left out.
"""

import json
import os

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

kafka = {"bootstrap.servers": os.environ["KAFKA"], "enable.auto.commit": False}
topic, erasures = os.environ["ASSIGNMENTS_TOPIC"], os.environ["ERASURES_TOPIC"]


def erased() -> dict[bytes, int]:
    """store|buyer -> clickstream offset before which everything is void. Read it again now and then."""
    reader = Consumer({**kafka, "group.id": "unused", "enable.partition.eof": True})
    partitions = reader.list_topics(erasures).topics[erasures].partitions
    reader.assign([TopicPartition(erasures, number, OFFSET_BEGINNING) for number in partitions])
    void, reading = dict[bytes, int](), set(partitions)
    while reading:
        message = reader.poll(1.0)
        if message is not None and message.error():
            reading.discard(message.partition())  # its end
        elif message is not None and message.value():
            before = json.loads(message.value())["before_offset"]
            void[message.key()] = max(before, void.get(message.key(), 0))
    reader.close()
    return void


void = erased()
consumer = Consumer({**kafka, "group.id": "my-program", "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
try:
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        said = json.loads(message.value())
        if said["offset"] >= void.get(message.key(), 0):
            print(f"{said['store']} {said['buyer']} is {said['token']}", flush=True)
        consumer.commit(message, asynchronous=False)
except KeyboardInterrupt:
    consumer.close()
