"""The audit log: erasures, decisions on consent, keys made and revoked, refused events read, buyers looked
back at. One JSON line each, without personal data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from inference.errors import ApiKeyError

AUDIT_FILE: Final = "audit.jsonl"


class AuditLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """at: wall clock, ms UTC. key: the id of the API key that asked (erase, consent_withdrawn, consent_given,
    read_refused, read_as_of, read_why, read_report), or that was made or revoked (create_key, revoke_key).
    request: of an erasure or a decision, as its record names it. scopes, origins: of such a key."""

    at: int
    action: str
    store: str
    key: str
    request: str = ""
    scopes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


_decode = msgspec.json.Decoder(AuditLine).decode


def read_audit(home: Path) -> list[AuditLine]:
    """The lines of <home>/audit.jsonl, oldest first; none where nothing was audited yet.

    Raises:
        ApiKeyError: a line cannot be read.
    """
    path = home / AUDIT_FILE
    lines = path.read_bytes().splitlines() if path.exists() else []
    try:
        return [_decode(line) for line in lines]
    except msgspec.MsgspecError as error:
        raise ApiKeyError(f"{path} has a line that is none of the audit log: {error}") from None


def write_audit(home: Path, line: AuditLine) -> None:
    """Append a line to <home>/audit.jsonl and have it on disk before returning; several processes may.

    Raises:
        OSError: it cannot be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / AUDIT_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(line) + b"\n")  # one write: lines never mix
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
