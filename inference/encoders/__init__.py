"""Encoder runtimes: in process, on Triton, and the failover between them."""
