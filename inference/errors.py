"""Exceptions of inference.

InferenceError
+-- BundleError               a bundle is missing, changed or does not fit this code: refused at start
+-- InvalidVectorError        a row holds NaN or inf, or the shape is not [n, 403]
+-- ProfileError              counts of buyers are of another layout, damaged, or not in this bundle
+-- CatalogueError            a bundle has no such type, or no card of a code
+-- SamplingError             there is nothing to draw a population from
+-- EncoderUnavailableError   the encoder (Triton) cannot be reached or fails: retry or degrade
+-- ApiKeyError               there is no such API key
+-- ApiStartError             the API cannot listen where it was told to, or not with that certificate
"""

from __future__ import annotations

from feature_store.errors import SimpersonaError


class InferenceError(SimpersonaError):
    """Root of this package's errors."""


class BundleError(InferenceError):
    """A published model that must not be served."""


class InvalidVectorError(InferenceError):
    """Input rows that no encoder may see: a NaN row would come back as code 0, silently."""


class ProfileError(InferenceError):
    """Counts of buyers that cannot be read, or a bundle that has none to compare with."""


class CatalogueError(InferenceError):
    """What was asked for is not in the bundle's catalogue."""


class SamplingError(InferenceError):
    """A population cannot be drawn: nobody was counted, or the filter leaves nobody."""


class EncoderUnavailableError(InferenceError):
    """The encoder does not answer; the input is fine and may be sent again."""


class ApiKeyError(InferenceError):
    """There is no such API key."""


class ApiStartError(InferenceError):
    """The API cannot listen where it was told to, or not with the certificate that it was given."""
