"""A question about one buyer, who may have several names in the log: one for each key of buyer ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from feature_store.contract.erasure import Erasure
from feature_store.contract.events import record_key
from ops.errors import NothingAssignedError, PastError
from ops.past.as_of import Looker, Past
from ops.past.moment import Moment


class ErasedError(NothingAssignedError):
    """The buyer was erased, and had no persona since, or not yet at that moment."""


def look_for(
    looker: Looker,
    store: str,
    names: Sequence[str],
    erasures: Mapping[bytes, Erasure],
    moment: Moment,
    now_ms: int,
) -> Past:
    """What held of a buyer at a moment, under the newest of their names that had a persona then.

    names: the newest first. erasures: by Kafka key.

    Raises:
        ErasedError: they were erased, and had no persona since, or not yet at that moment.
        NothingAssignedError, MomentError, PastError, TopicError, EventSourceError, OnlineStoreError: see
            Looker.look.
    """
    found: PastError | None = None
    for name in names:
        key = record_key(store, name)
        erasure = erasures.get(key)
        try:
            return looker.look(key, -1 if erasure is None else erasure.void_before, moment, now_ms)
        except NothingAssignedError as error:
            if erasure is not None:
                found = ErasedError("this buyer was erased, and had no persona since, or not yet then")
            else:
                found = found or error
        except PastError as error:
            found = error if len(names) == 1 else found or error
    assert found is not None, "a buyer has at least one name"
    raise found
