"""Client of simpersona's persona API: sync (PersonaClient) and async (AsyncPersonaClient).

Every public name is here, but for simpersona_client.openfeature, which needs the extra `openfeature`.
"""

from simpersona_client._answers import (
    Absent,
    Distribution,
    ErasureStatus,
    Facts,
    Persona,
    Receipt,
    Refusal,
    Remaining,
    Sample,
    Tally,
    TypeShare,
)
from simpersona_client._async_client import AsyncPersonaClient
from simpersona_client._catalogue import (
    Catalogue,
    CodeCard,
    Estimate,
    PersonaType,
    SessionShape,
    Step,
    TypeFacts,
)
from simpersona_client._client import PersonaClient
from simpersona_client._errors import (
    AnswerError,
    BusyError,
    ClientError,
    NoPersonaError,
    NotAllowedError,
    RefusedError,
    UnreachableError,
)
from simpersona_client._retries import Retries
from simpersona_client._stream import Assigned, Assignment, Gap

__all__ = [
    "Absent",
    "AnswerError",
    "Assigned",
    "Assignment",
    "AsyncPersonaClient",
    "BusyError",
    "Catalogue",
    "ClientError",
    "CodeCard",
    "Distribution",
    "ErasureStatus",
    "Estimate",
    "Facts",
    "Gap",
    "NoPersonaError",
    "NotAllowedError",
    "Persona",
    "PersonaClient",
    "PersonaType",
    "Receipt",
    "Refusal",
    "RefusedError",
    "Remaining",
    "Retries",
    "Sample",
    "SessionShape",
    "Step",
    "Tally",
    "TypeFacts",
    "TypeShare",
    "UnreachableError",
]
