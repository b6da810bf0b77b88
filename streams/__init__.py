"""The live path: Faust app, micro-batch loop, checkpoints, dead letters, archive."""
