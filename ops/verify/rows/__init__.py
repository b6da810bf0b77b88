"""The kinds of rows in the store, each compared with what the log says."""
