"""What a worker knows of a partition that it owns."""

from __future__ import annotations

from dataclasses import dataclass, field

from feature_store.online.encoding import Progress, Tagged
from feature_store.online.rows import Owned
from inference.calibration.in_force import InForce


@dataclass
class Partition:
    """A partition's place in the log.

    written is what the store's progress row reads, as far as this worker knows: the fence compares
    with it. next_offset and watermark run ahead of it until the next checkpoint. So it is with tagged,
    under which codebook version the partition is tagged according to the store, and tag_as.
    """

    number: int
    written: Progress | None
    next_offset: int
    watermark: int
    tagged: Tagged | None
    tag_as: Tagged
    persona_writes: int
    """How often persona rows were written, by whoever owned the partition."""

    create_time: int = 0
    """CreateTime of the newest record folded (ms)."""
    hole_at: int = -1
    """Where the log was seen to go on after next_offset, once; the second time it is believed."""
    calibrations: InForce = field(default_factory=InForce)
    unwritten: dict[bytes, bytes] = field(default_factory=dict)
    """Rows of calibrations that the store does not have yet."""
    unwritten_opt_outs: dict[bytes, bytes | None] = field(default_factory=dict)
    """Rows of who has opted out that the store does not have yet; None: that of who opted in is to go."""
    has_opt_outs: bool = False
    """Whether the store may hold a row of somebody who has opted out."""
    erased: set[bytes] = field(default_factory=set)
    """Keys whose rows the next checkpoint deletes."""

    retagged: bool = False
    """Whether buyers without a new event were tagged since the last checkpoint."""
    walked: int = 0
    """How far the walk for buyers of another codebook version has come: a cursor of the store's scan."""

    @classmethod
    def at(cls, number: int, owned: Owned, tag_as: Tagged) -> Partition:
        """A partition as the store knows it, to be tagged as `tag_as` says.

        Raises:
            RowVersionError: a calibration of it cannot be read.
        """
        start = owned.progress or Progress(0, 0)
        return cls(
            number,
            owned.progress,
            start.next_offset,
            start.watermark,
            owned.tagged,
            tag_as,
            owned.persona_writes,
            calibrations=InForce.of_rows(owned.calibrations),
            has_opt_outs=owned.opt_outs > 0,
        )

    @property
    def progress(self) -> Progress:
        """What a checkpoint made now would write."""
        sequence = 0 if self.written is None else self.written.sequence + 1
        return Progress(self.next_offset, self.watermark, sequence)

    @property
    def is_claimed(self) -> bool:
        """Whether the store knows under which codebook version, and in which row version, we write."""
        claimed = self.progress.row_version
        return self.tagged == self.tag_as and self.written is not None and self.written.row_version == claimed

    @property
    def moved(self) -> bool:
        """Whether a checkpoint has anything to write."""
        here = (self.next_offset, self.watermark)
        stored = self.written[:2] if self.written else (0, 0)
        return (
            bool(self.erased or self.unwritten_opt_outs)
            or self.retagged
            or self.tagged != self.tag_as
            or here != stored
        )
