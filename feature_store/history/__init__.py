"""History: the archive, shards on disk, the offline fold."""
