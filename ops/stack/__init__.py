"""The embedded servers: Kafka, Valkey, Triton; start, ready, stop."""
