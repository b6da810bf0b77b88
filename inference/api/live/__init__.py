"""The API's side of Kafka: the tail, open streams, the producer."""
