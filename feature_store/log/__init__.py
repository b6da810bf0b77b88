"""Kafka: connection, topics, ranges of records, the producer, erasures."""
