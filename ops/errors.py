"""Exceptions of operations. The root and the other branches: feature_store/errors.py.

OpsError
+-- VerificationError         the online store and the log disagree
+-- ErasureError              no worker has erased a buyer in time
+-- RekeyError                history cannot be moved to a new key of buyer ids
+-- DemoError                 the demo lost something, or could not do what it shows
+-- ModelsError               a version cannot be put live, or taken back
|   +-- ChampionChangedError  the champion is not the one any more that the version was compared with
+-- LoopError                 workers did not tag simulated sessions in time, or with another codebook
+-- DriftError                drift cannot be measured as things are
+-- CalibrationError          what was found of forecasts cannot be served
+-- PastError                 what was assigned of a buyer cannot be answered
|   +-- MomentError           what is given is no moment, or lies where nothing can be read
|   +-- NothingAssignedError  the buyer had no persona then, or was erased
+-- StudiesError              a study of this repository is asked for where no checkout is
+-- StackError
    +-- DownloadError         a server's files could not be fetched or installed
    +-- ServerStartError      a server died or did not become ready; quotes its last log lines
    +-- StackInUseError       another process runs servers on this data folder
"""

from __future__ import annotations

from feature_store.errors import SimpersonaError


class OpsError(SimpersonaError):
    """Root of the errors of operations."""


class VerificationError(OpsError):
    """The online store and the log disagree."""


class ErasureError(OpsError):
    """No worker has erased a buyer in time; the request is kept."""


class RekeyError(OpsError):
    """History cannot be moved to a new key of buyer ids now; what was moved stays moved."""


class DemoError(OpsError):
    """The demo could not do what it shows, or lost something."""


class ModelsError(OpsError):
    """A version cannot be put live, or taken back."""


class ChampionChangedError(ModelsError):
    """The champion is not the one any more that a version was compared with."""


class StudiesError(OpsError):
    """A study of this repository is asked for where no checkout is installed."""


class LoopError(OpsError):
    """Workers did not tag simulated sessions in time, or tagged them with another codebook."""


class DriftError(OpsError):
    """Drift cannot be measured as things are."""


class CalibrationError(OpsError):
    """What was found of forecasts cannot be served."""


class PastError(OpsError):
    """What was assigned of a buyer at a moment cannot be answered."""


class MomentError(PastError):
    """What is given is no moment, or lies where nothing can be read."""


class NothingAssignedError(PastError):
    """The buyer had no persona at that moment, or was erased."""


class StackError(OpsError):
    """Root of the local stack's errors."""


class DownloadError(StackError):
    """A server's files could not be fetched or installed."""


class ServerStartError(StackError):
    """A server died while starting or did not become ready in time."""


class StackInUseError(StackError):
    """Servers already run on this data folder, owned by another process."""
