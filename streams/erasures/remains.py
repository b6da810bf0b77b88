"""What is left of an erased buyer, and until when: a line per place; a new place adds its line here."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import structlog

from feature_store.contract.erasure import Remainder
from feature_store.errors import TopicError
from feature_store.log.topics import record_lives
from streams.settings import WorkerSettings
from streams.sinks.sink import sinks

log = structlog.get_logger(__name__)

_ASKED_EVERY_S: Final = 600.0
_DAY_MS: Final = 86_400_000


class Lives:
    """How long records of our topics can be read, as Kafka says every so often. Safe to share."""

    def __init__(self, kafka: Mapping[str, Any], settings: WorkerSettings) -> None:
        self.events, self.assignments = settings.topic, settings.assignments_topic
        self.letters = settings.dead_letters_topic
        self.sinks_letters = [kind.settings().dead_letters_topic for kind in sinks().values()]
        self.control = settings.control_topic
        self._kafka, self._keep_ms = kafka, int(settings.erasures_keep_days * _DAY_MS)
        self._lock = threading.Lock()
        self._of: dict[str, int | None] = {}
        self._asked_at = -_ASKED_EVERY_S

    def of(self, topic: str) -> int | None:
        """How long (ms) a record can be read at most; None: no time is known to end it."""
        with self._lock:
            if time.monotonic() - self._asked_at >= _ASKED_EVERY_S:
                self._ask()
            return self._of.get(topic)

    def patience_ms(self) -> int | None:
        """How long after an erasure nothing of before it can be read from any topic; None: no time is known.

        A record may be folded until its own topic deletes it, an assignment of it delivered until that one's
        topic deletes it, and a letter about either read until its topic does: so the lives add up.
        """
        lives = [self.of(it) for it in (self.events, self.assignments, self.letters, *self.sinks_letters)]
        known = [life for life in lives if life is not None]
        return max(self._keep_ms, sum(known)) if len(known) == len(lives) else None

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        topics = (self.events, self.assignments, self.letters, *self.sinks_letters, self.control)
        for topic in topics:
            try:
                self._of |= record_lives(self._kafka, [topic])
            except TopicError as error:
                self._of.pop(topic, None)
                log.warning("retention_unknown", topic=topic, error=str(error))


def what_remains(lives: Lives, erasures_topic: str, at: int) -> list[Remainder]:
    """Everything that is left of a buyer who was erased at a time (ms UTC).

    Raises nothing: a time that Kafka does not tell is None.
    """

    def topic(name: str, note: str) -> Remainder:
        life = lives.of(name)
        return Remainder(f"topic {name}", None if life is None else at + life, note)

    patience = lives.patience_ms()
    return [
        topic(lives.events, "records from before the erasure, and the request; no reader of ours uses them"),
        topic(lives.assignments, "assignments of the buyer; streams and webhooks leave it out"),
        topic(lives.letters, "events of the buyer that were refused; a replay leaves them out"),
        *(topic(it, "assignments of the buyer that a sink refused; no replay") for it in lives.sinks_letters),
        topic(lives.control, "the pseudonym, only where the erasure was asked for there"),
        Remainder(
            f"topic {erasures_topic}",
            None if patience is None else at + patience,
            "the pseudonym, so that no replay brings the buyer back; the archiver trims it when nothing of "
            "before can be read any more, and Kafka compacts it later",
        ),
        Remainder(
            "archive",
            None,
            "events and assignments, until the archiver's next pass: 30 seconds where it runs",
        ),
        Remainder(
            "disks and backups of the online store",
            None,
            "deleted rows, until the store rewrites its append-only file; yours to expire in backups, which "
            "SIMPERSONA_ERASURES_KEEP_DAYS must outlast",
        ),
        Remainder(
            "files made from history",
            None,
            "snapshots of retrains are lists and hold no buyer, traces of the persona LLM hold no pseudonym, "
            "and both leave the buyer out when read or made anew; exports of your own are yours to delete",
        ),
        Remainder(
            "receivers",
            None,
            "what a webhook's URL or a reader of the topics has already is theirs to delete; the webhook "
            "tells them of it, Segment's form does not",
        ),
        Remainder("audit log", None, "the request's id and time; nothing that names the buyer"),
    ]
