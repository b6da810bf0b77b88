"""Where everything of a topic lies in the online store: every key's name, said here and nowhere else.

Every key of a partition carries the hash tag {topic:partition}, so that a partition lives in one
cluster slot and one transaction can span it:

    {clickstream:3}:progress        "<next offset> <watermark ms> <sequence> <row version>": what is folded,
                                    and the fence
    {clickstream:3}:state:<key>     a state row, changed only inside a checkpoint
    {clickstream:3}:open            sorted set: buyers whose session end is not announced, by last event time
    {clickstream:3}:persona:<key>   the current persona, written at once, behind the same fence
    {clickstream:3}:persona-writes  how often persona rows were written: shows a store that went back
    {clickstream:3}:codebook        "<codebook version> walking|done": under which personas are assigned
    {clickstream:3}:calibrations    hash: offset of a calibration in the log -> its record, changed only
                                    inside a checkpoint
    {clickstream:3}:opt-outs        hash: <key> of who withdrew consent -> offset after it, changed
                                    only inside a checkpoint
    {clickstream:3}:window:300000:<start>  hash: what was counted of a window of event time, changed only
                                    inside a checkpoint; expires

    simpersona:clickstream:partitions               the partition count that the store was filled with
    simpersona:clickstream:intake:300000:<start>    hash: items that collectors met in a window of the clock
    simpersona:clickstream:refusals:<start>         hash: what collectors refused in an hour of the clock

<key> is the Kafka key, `store|buyer`; lengths and starts of windows are ms.
"""

from __future__ import annotations

from typing import Final

PROGRESS: Final = b"progress"
CODEBOOK: Final = b"codebook"
PERSONA_WRITES: Final = b"persona-writes"
CALIBRATIONS: Final = b"calibrations"
OPT_OUTS: Final = b"opt-outs"
OPEN: Final = b"open"
STATE: Final = b"state:"
PERSONA: Final = b"persona:"
WINDOW: Final = b"window:"


class Keys:
    """Names of one topic's keys."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    @property
    def partition_count(self) -> str:
        """The recorded partition count."""
        return f"simpersona:{self._topic}:partitions"

    def intake(self, length_ms: int, start: int) -> str:
        """What collectors met in a window of the clock."""
        return f"simpersona:{self._topic}:intake:{length_ms}:{start}"

    def refusals(self, start: int) -> str:
        """What collectors refused in an hour of the clock."""
        return f"simpersona:{self._topic}:refusals:{start}"

    def of(self, partition: int) -> bytes:
        """What all names of a partition begin with; one of the constants above follows."""
        return f"{{{self._topic}:{partition}}}:".encode()

    def window(self, partition: int, length_ms: int, start: int) -> str:
        """Counts of a window of event time."""
        return (self.of(partition) + WINDOW).decode() + f"{length_ms}:{start}"

    @property
    def patterns(self) -> tuple[bytes, bytes]:
        """Globs that match every key of the topic."""
        topic = escape(self._topic.encode())
        return b"{" + topic + b":*", b"simpersona:" + topic + b":*"


def escape(prefix: bytes) -> bytes:
    """A prefix as a glob that matches nothing else."""
    return prefix.replace(b"\\", b"\\\\").replace(b"[", b"\\[").replace(b"*", b"\\*").replace(b"?", b"\\?")
