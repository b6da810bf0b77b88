"""Exceptions of training.

TrainingError
+-- DatasetError      the data cannot train an encoder: empty, too few different buyers, NaN
+-- DivergedError     the loss is not finite
+-- ExportError       the exported graph is not valid or does not say what torch says
"""

from __future__ import annotations

from feature_store.errors import SimpersonaError


class TrainingError(SimpersonaError):
    """Root of this package's errors."""


class DatasetError(TrainingError):
    """Data from which no encoder can be learned."""


class DivergedError(TrainingError):
    """Training ran off: the loss is NaN or infinite."""


class ExportError(TrainingError):
    """The ONNX graph is not valid, too large, or its codes differ from torch's."""
