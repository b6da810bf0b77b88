"""The parts of the study, one file per question."""
