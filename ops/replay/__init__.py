"""Sending events to Kafka: files, generated traffic, dead letters."""
