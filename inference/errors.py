"""Exceptions of inference. The root and the other branches: feature_store/errors.py.

InferenceError
+-- BundleError               a bundle is missing, changed or does not fit this code: refused at start
+-- InvalidVectorError        a row holds NaN or inf, or the shape is not [n, 403]
+-- ProfileError              a profile has another layout, is damaged, or is missing in the bundle
+-- CatalogueError            the bundle has no such type, or no card of a code
+-- SamplingError             there is nothing to draw a population from
+-- EncoderUnavailableError   the encoder (Triton) cannot be reached or fails: retry or degrade
+-- ApiKeyError               there is no such API key
+-- ApiStartError             the API cannot listen at its address, or not with its certificate
"""

from __future__ import annotations

from feature_store.errors import SimpersonaError


class InferenceError(SimpersonaError):
    """Root of the errors of inference."""


class BundleError(InferenceError):
    """A published model that must not be served."""


class InvalidVectorError(InferenceError):
    """Rows that no encoder may get: a row with NaN would silently become code 0."""


class ProfileError(InferenceError):
    """A profile cannot be read, or the bundle has none to compare with."""


class CatalogueError(InferenceError):
    """The bundle's catalogue has no such type or card."""


class SamplingError(InferenceError):
    """A population cannot be drawn: no buyer was counted, or the filter leaves none."""


class EncoderUnavailableError(InferenceError):
    """The encoder does not answer. The input is fine and may be sent again."""


class ApiKeyError(InferenceError):
    """There is no such API key."""


class ApiStartError(InferenceError):
    """The API cannot listen at the address of its settings, or not with their certificate."""
