"""What may be stated of a probability: nothing of a store that the bundle has never seen, until a shop's own
calibration holds; the calibration, its gate, its measures, its alarm."""
