"""The study of the encoder: `simpersona study` makes docs/evaluation.md."""
