"""The rows of a partition itself: how far it is folded, and under which codebook version it is tagged."""

from __future__ import annotations

import contextlib

from feature_store.errors import RowVersionError
from feature_store.online.encoding import Progress, Tagged
from feature_store.online.mending import Fix
from ops.verify.expected.assigned import Assigned
from ops.verify.findings import Findings


def parse_progress(raw: bytes | None, found: Findings) -> Progress | None:
    """The progress row; one that cannot be read is named, and reads as none."""
    if raw is None:
        return None
    with contextlib.suppress(RowVersionError):
        progress = Progress.from_bytes(raw)
        if progress.to_bytes() == raw and min(progress) >= 0:
            return progress
    found.note("partition_rows", "progress.row", "")
    return None


def compare_progress(
    progress: Progress | None, topic_end: int, watermark: int, upper: int | None, found: Findings
) -> None:
    """Compare offset and watermark (ms). upper: the highest that the watermark may be, because events of
    erased buyers may have moved it; None where nobody can tell."""
    if progress is None:
        return
    if progress.next_offset > topic_end:
        found.note("partition_rows", "progress.next_offset", f"offset {progress.next_offset}")
    if progress.watermark < watermark or (upper is not None and progress.watermark > upper):
        right = progress._replace(watermark=watermark)
        fix = Fix(b"progress", None, progress.to_bytes(), right.to_bytes())
        found.note("partition_rows", "progress.watermark", f"offset {progress.next_offset}", fix)


def tagged_by(
    raw: bytes | None, assigned: Assigned, champion: str, has_tagged: bool, found: Findings
) -> str | None:
    """The version that all buyers of the partition are of; None while a swap walks, or where nothing says so.

    has_tagged: whether the partition has any tagged buyer.
    """
    if raw is None:
        if has_tagged:
            walking = Tagged(champion, all_of_them=False)
            found.note("partition_rows", "codebook.row", "", Fix(b"codebook", None, None, walking.to_bytes()))
        return None
    try:
        tagged = Tagged.from_bytes(raw)
    except UnicodeDecodeError:
        tagged = Tagged("", all_of_them=False)
    if tagged.version not in {*assigned.versions, champion} or tagged.to_bytes() != raw:
        walking = Tagged(champion, all_of_them=False)
        found.note("partition_rows", "codebook.version", "", Fix(b"codebook", None, raw, walking.to_bytes()))
        return None
    found.report.partitions_walking += not tagged.all_of_them
    return tagged.version if tagged.all_of_them else None
