"""A row that cannot be read: how it is named, and the partition that waits until it is mended."""
