"""The live path beside its peers: workload, trials, what is measured, the report."""
