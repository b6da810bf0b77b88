"""Kafka: the clients, readers, topics, the producer, erasures (docs/adr/0042)."""
