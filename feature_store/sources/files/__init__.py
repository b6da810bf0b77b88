"""Files as people have them: compressed or not, lines or one array, CSV or parquet, one file or a folder."""
