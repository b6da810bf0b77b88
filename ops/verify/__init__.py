"""The oracle: what the store serves == what the log says. `check` is its core, without Kafka or a store."""
