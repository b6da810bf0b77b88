"""What one partition's log says: the fold, the answers of encoders, assignments explained, counts."""
