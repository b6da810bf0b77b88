"""Taking a partition over: where it begins is the store's word, and the store learns who tags it now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from feature_store.errors import FencedError, RowVersionError
from feature_store.online.encoding import Progress, unpack_row
from feature_store.online.fence import Checkpoint
from feature_store.online.rows import OnlineRows, Owned
from streams.errors import ConsumerError
from streams.live.leaving.opt_outs import take_consent
from streams.live.partition import Partition
from streams.live.pending import PendingErasures
from streams.live.tagger import Tagger
from streams.live.unreadable_rows.naming import naming

EndOffsets = Callable[[Sequence[int]], dict[int, int]]
"""Partitions of the clickstream -> where each ends now, its next offset. Raises TopicError."""


class Takeover:
    """Makes the partitions that the group assigns those of this worker. Of the loop's thread."""

    def __init__(
        self, topic: str, ends: EndOffsets, rows: OnlineRows, tagger: Tagger, erasures: PendingErasures
    ) -> None:
        self._topic, self._ends, self._rows = topic, ends, rows
        self._tagger, self._erasures = tagger, erasures

    def begin(self, numbers: list[int]) -> Iterator[Partition]:
        """The partitions as the store knows them, each as soon as it is claimed.

        Raises:
            OnlineStoreError, TopicError: store or Kafka do not answer, or another owner was quicker.
            UnreadableRowError: a row of one of them cannot be read.
            ConsumerError: the topic was made anew under the store.
        """
        self._erasures.refresh()
        owned = self._owned_of(numbers)
        self._refuse_older_than_erasures({number: store.progress for number, store in owned.items()})
        self._refuse_recreated_topic({number: store.progress for number, store in owned.items()})
        for number, store in owned.items():
            with naming(number, "calibration row"):
                partition = Partition.at(number, store, self._tagger.champion.takes_over(store.tagged))
            partition.erased = self._void_rows(partition)
            for key, erasure in self._erasures.of(number).items():
                take_consent(partition, key, erasure)
            self.claim(partition)
            yield partition

    def unknown(self, number: int) -> Partition:
        """A partition of which the store does not say where it begins: nothing of it may be read yet."""
        return Partition.at(number, Owned(None, None, 0), self._tagger.champion.takes_over(None))

    def claim(self, partition: Partition) -> None:
        """Write down, before any row changes, under which codebook version and in which row version we write.

        Whoever was of another codebook version is fenced by it, and finds here on taking over again that
        there is something to mend (docs/adr/0017). An older release is fenced too, and cannot take over
        again: it does not read the new form of the progress row (docs/adr/0039).
        """
        if not partition.is_claimed:
            change = Checkpoint(partition.progress, tagged=partition.tag_as)
            self._rows.checkpoint(partition.number, change, partition.written, partition.persona_writes)
            partition.written, partition.tagged = change.progress, partition.tag_as

    def _owned_of(self, numbers: Sequence[int]) -> dict[int, Owned]:
        try:
            return self._rows.owned_of(numbers)
        except (RowVersionError, ValueError):  # not a number, not UTF-8
            for number in numbers:
                with naming(number, "progress, codebook or persona-writes row"):
                    self._rows.owned_of([number])
            raise

    def _refuse_older_than_erasures(self, folded_to: Mapping[int, Progress | None]) -> None:
        """The pending erasures were read a moment before; a store that went back since then needs others."""
        for number, folded in folded_to.items():
            if (0 if folded is None else folded.next_offset) < self._erasures.floor(number):
                raise FencedError(f"the store went back while partition {number} was taken over")

    def _refuse_recreated_topic(self, folded_to: Mapping[int, Progress | None]) -> None:
        for number, end in self._ends(list(folded_to)).items():
            folded = folded_to[number]
            if folded is not None and folded.next_offset > end:
                raise ConsumerError(
                    f"the store has folded partition {number} up to offset {folded.next_offset}, but the "
                    f"topic {self._topic} ends at {end}: it was made anew; empty the store first"
                )

    def _void_rows(self, partition: Partition) -> set[bytes]:
        """Keys of the partition whose stored rows a pending erasure has made void: the request lies ahead,
        or the store went back behind it (a restored backup) and retention has deleted the request.

        A persona without a state is void too: if it is of a new life, reading on assigns it again.
        """
        number = partition.number
        keys = list(self._erasures.of(number))
        states = self._rows.read_states({number: keys}).get(number, [])
        personas = self._rows.read_personas({number: keys}).get(number, [])
        void = set()
        for key, row, persona in zip(keys, states, personas, strict=True):
            if row is None:
                is_void = persona is not None
            else:
                before = self._erasures.void_before(number, key)
                # All that is folded lies before the request: so does the row, also one that cannot be read.
                is_void = partition.next_offset <= before or self._since(number, key, row) < before
            if is_void:
                void.add(key)
        return void

    @staticmethod
    def _since(number: int, key: bytes, row: bytes) -> int:
        with naming(number, "state row", key):
            return unpack_row(row)[0].since_offset
