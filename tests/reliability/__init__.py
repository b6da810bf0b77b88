"""The fault matrix and the soak: real processes, judged by `verify` and by a count that is not the fold's."""
