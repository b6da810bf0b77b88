"""Commands on the control topic: what an operator tells every worker at once."""

from __future__ import annotations

from typing import Any

import msgspec

from feature_store.contract.calibration import Calibration


class Swap(msgspec.Struct, tag_field="kind", tag="swap", frozen=True, kw_only=True):
    """Answer with another bundle (a folder that every worker can read) from the next batch on."""

    bundle: str


class Shadow(msgspec.Struct, tag_field="kind", tag="shadow", frozen=True, kw_only=True):
    """Let a candidate bundle tag beside the champion, for the agreement metric; null ends it."""

    bundle: str | None


class Erase(msgspec.Struct, tag_field="kind", tag="erase", frozen=True, kw_only=True):
    """Forget a buyer (the pseudonymised id); requested_at is wall clock, ms UTC."""

    store: str
    buyer: str
    requested_at: int


Command = Swap | Shadow | Erase | Calibration
encode_command = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Command).decode


def decode_command(raw: Any) -> Command:
    """Parse a control record.

    Raises:
        msgspec.MsgspecError: it is no command that this release knows.
    """
    command: Command = _decode(raw)
    return command
