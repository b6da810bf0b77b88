"""The persona API for Python programs: sync (PersonaClient) and async (AsyncPersonaClient)."""

from inference.client.answers import (
    Absent,
    Catalogue,
    Distribution,
    ErasureStatus,
    Persona,
    Receipt,
    Refusal,
    Sample,
    TypeShare,
)
from inference.client.asynchronous import AsyncPersonaClient
from inference.client.errors import (
    AnswerError,
    BusyError,
    ClientError,
    NoPersonaError,
    NotAllowedError,
    RefusedError,
    UnreachableError,
)
from inference.client.following import Assigned, Gap
from inference.client.retries import Retries
from inference.client.synchronous import PersonaClient

__all__ = [
    "Absent",
    "AnswerError",
    "Assigned",
    "AsyncPersonaClient",
    "BusyError",
    "Catalogue",
    "ClientError",
    "Distribution",
    "ErasureStatus",
    "Gap",
    "NoPersonaError",
    "NotAllowedError",
    "Persona",
    "PersonaClient",
    "Receipt",
    "Refusal",
    "RefusedError",
    "Retries",
    "Sample",
    "TypeShare",
    "UnreachableError",
]
