"""The event contract: events, ids and pseudonyms, partitions, the record of an erasure."""
