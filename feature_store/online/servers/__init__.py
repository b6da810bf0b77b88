"""The servers of an online store: addresses, whose key is whose, connections that an event loop shares."""
