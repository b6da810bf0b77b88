"""What may be stated of a probability: nothing of a store that the bundle has never seen."""
