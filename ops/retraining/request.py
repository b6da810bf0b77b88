"""What drift asks of a retrain: one file in the data folder, written by drift, answered by a retrain."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final

import msgspec

from feature_store.workspace import write_whole
from training.errors import RetrainError

REQUEST: Final = "retrain-request.json"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A retrain is asked for."""

    requested_at: str
    """ISO 8601, UTC."""
    reason: str
    store: str | None = None
    """The store that has drifted; None: all together."""
    figures: dict[str, Any] = {}
    """What was measured, by name."""

    @property
    def why(self) -> str:
        """For the run that answers it."""
        return f"asked for at {self.requested_at}: {self.reason}"


def write_request(home: Path, request: Request) -> bool:
    """Leave a request; False where one waits already, which stays.

    Raises:
        OSError: it cannot be written.
    """
    path = home / REQUEST
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, msgspec.json.format(msgspec.json.encode(request), indent=1) + b"\n")
    return True


def read_request(home: Path) -> Request | None:
    """The request that waits, or None.

    Raises:
        RetrainError: the file is no request.
    """
    path = home / REQUEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Request)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise RetrainError(f"{path} is no request for a retrain ({error}); remove it") from error


def remove_request(home: Path, answered: Request) -> None:
    """Remove the request that a run has answered; a later one stays."""
    with contextlib.suppress(FileNotFoundError):
        if read_request(home) == answered:
            (home / REQUEST).unlink()
