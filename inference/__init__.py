"""Which persona: encoder runtimes, the Triton model repository, bundles."""
