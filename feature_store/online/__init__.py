"""The stored row: keys, encoding, the fence, reads."""
