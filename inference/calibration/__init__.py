"""What may be stated of a probability: a shop's calibration, its gate, its measures, its alarm."""
