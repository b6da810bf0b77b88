"""Who has opted out, by partition: nothing of theirs is folded until consent is given again (docs/adr/0061).

The store keeps them in a hash of the partition, changed only in the transaction that passes the record in the
log. So they need no room in memory: of who is not in the cache the store is asked, where it has anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from feature_store.contract.erasure import Erasure
from feature_store.online.rows import OnlineRows
from streams.live.cache import BuyerCache
from streams.live.partition import Partition


def take_consent(partition: Partition, key: bytes, erasure: Erasure) -> None:
    """Remember what an erasure says of its buyer's consent; the next checkpoint writes it."""
    if erasure.consent is not None:
        partition.unwritten_opt_outs[key] = b"%d" % erasure.before_offset if erasure.is_opted_out else None


class OptOuts:
    """Answers who has opted out. Of the loop's thread."""

    def __init__(self, rows: OnlineRows, cache: BuyerCache) -> None:
        self._rows, self._cache = rows, cache

    def of(
        self, partitions: Mapping[int, Partition], buyers: Iterable[tuple[int, bytes]]
    ) -> set[tuple[int, bytes]]:
        """Those of these (partition, Kafka key) who have opted out.

        Raises:
            OnlineStoreError: the store did not answer.
        """
        found = set[tuple[int, bytes]]()
        unknown: dict[int, list[bytes]] = {}
        for number, key in set(buyers):
            partition = partitions[number]
            if key in partition.unwritten_opt_outs:
                if partition.unwritten_opt_outs[key] is not None:
                    found.add((number, key))
            elif partition.has_opt_outs and not self._is_folded(key):
                unknown.setdefault(number, []).append(key)
        for number, rows in self._rows.read_opt_outs(unknown).items():
            found.update(
                (number, key) for key, row in zip(unknown[number], rows, strict=True) if row is not None
            )
        return found

    def _is_folded(self, key: bytes) -> bool:
        """Whether events of the buyer are in the cache: who opts out leaves it."""
        slot = self._cache.slots.get(key)
        return slot is not None and self._cache.since_offset(slot) >= 0
