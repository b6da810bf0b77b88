"""Files of events in any supported format: reading, adapters, writing."""
