"""Exceptions of training. The root and the other branches: feature_store/errors.py.

TrainingError
+-- DatasetError      the data cannot train an encoder: empty, too few different buyers, NaN
+-- WeightsError      the weights to begin with are of another model
+-- DivergedError     the loss is not finite
+-- ChatError         an external language model does not answer
+-- CodebookError     tokens of one codebook version were given to a model of another
+-- EvaluationError   an evaluation cannot be made, or would look at test buyers too early
+-- ExportError       the exported graph is not valid or does not say what torch says
+-- RegistryError     the model registry does not answer, or has not what was asked for
+-- GateError         a candidate is worse than the champion, or cannot be compared with it
+-- RetrainError      a retrain cannot begin or go on
"""

from __future__ import annotations

from feature_store.errors import SimpersonaError


class TrainingError(SimpersonaError):
    """Root of this package's errors."""


class DatasetError(TrainingError):
    """Data from which no encoder can be learned."""


class WeightsError(TrainingError):
    """Weights that a training cannot begin with: of a model of other layers."""


class DivergedError(TrainingError):
    """Training ran off: the loss is NaN or infinite."""


class ExportError(TrainingError):
    """The ONNX graph is not valid, too large, or its codes differ from torch's."""


class RegistryError(TrainingError):
    """The model registry cannot be used, or has no such version."""


class GateError(TrainingError):
    """A candidate that must not be promoted; the message has the failing figures."""


class RetrainError(TrainingError):
    """A retrain that cannot begin or go on, and why."""


class EvaluationError(TrainingError):
    """An evaluation that cannot be made, or that would look at test buyers before the choice."""


class ChatError(TrainingError):
    """An external language model that does not answer as a chat endpoint does."""


class CodebookError(TrainingError):
    """Tokens of a codebook version that the model does not speak, and no alignment that maps them."""
