"""Benchmarks: ours and peers', one command each."""
