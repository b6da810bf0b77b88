"""A shop's calibration as a record of the log: what its ended sessions make of a bundle's probabilities.

It lies in every partition of the clickstream, without key and value, under the header simpersona-calibration:
its own offset there is the offset after which it holds. So the log says where, as it does of an erasure, and
no worker can choose another place (docs/adr/0058). The control topic holds a copy, for people and for other
programs. It holds no ids of buyers, so an erasure leaves it alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from feature_store.contract.names import Name

CALIBRATION_HEADER: Final = "simpersona-calibration"
_MOST: Final = 50.0


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """logit p' = a logit p + b; a is above 0, so that the order stays."""

    a: Annotated[float, msgspec.Meta(gt=0, le=_MOST)]
    b: Annotated[float, msgspec.Meta(ge=-_MOST, le=_MOST)]


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of forecasts that were each judged on sessions after those of the fit.

    auc and error: value and 95 % interval; null where they cannot be had. loss, base_loss: log loss in nats
    of the calibrated forecasts, and of the share that came true in the sessions before. why: of a gate that
    is closed, in words.
    """

    passed: bool
    sessions: int
    auc: tuple[float, float, float] | None = None
    error: tuple[float, float, float] | None = None
    loss: float | None = None
    base_loss: float | None = None
    why: str | None = None


class Calibration(msgspec.Struct, tag_field="kind", tag="calibration", frozen=True, kw_only=True):
    """One calibration of a store under a codebook version.

    calibration_id: a name, unique per store and version. fitted_on: ended sessions. gate: what was measured.
    confidence, forecast: None: not stated. holds: False: nothing is stated of this store from here on,
    whatever held before.
    """

    store: Name
    codebook_version: Name
    calibration_id: Name
    fitted_on: Annotated[int, msgspec.Meta(ge=0)]
    gate: Gate
    confidence: Curve | None = None
    forecast: Curve | None = None
    holds: bool = True

    def headers(self) -> list[tuple[str, bytes]]:
        """The headers of the record in a partition of the clickstream."""
        return [(CALIBRATION_HEADER, encode_calibration(self))]


encode_calibration = msgspec.json.Encoder().encode
decode_calibration = msgspec.json.Decoder(Calibration).decode


def calibration_of(message: Any) -> Calibration | None:
    """The calibration that a record of the clickstream is; None for any other record, and for one that cannot
    be read: that one is refused, like every record without a value.

    message: a confluent_kafka.Message.
    """
    if message.value() is not None:
        return None
    for name, value in message.headers() or ():
        if name == CALIBRATION_HEADER:
            try:
                return decode_calibration(value)
            except msgspec.MsgspecError:
                return None
    return None
