"""Metrics of a worker. Few labels, every label value known beforehand."""

from __future__ import annotations

from typing import Final, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from feature_store.contract.erasure import Consent
from feature_store.contract.events import DeadLetterReason
from streams.errors import MetricsPortError
from streams.histogram import BatchHistogram

log = structlog.get_logger(__name__)

STAGES: Final = ("event_to_produced", "produced_to_decoded", "decoded_to_folded", "folded_to_encoded")
STAGES_AFTER: Final = ("encoded_to_tagged", "event_to_tag")
COMMAND_KINDS: Final = ("swap", "shadow", "unreadable")
_REASONS: Final = ("code", "type", "forecast", "confidence", "session_end", "swap")


class WorkerMetrics:
    """Everything a worker reports; one registry a worker, so that two in one process do not clash."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.stages = BatchHistogram(
            "simpersona_stage_seconds",
            "Time of an event in a stage; event_to_tag is from CreateTime to the assigned persona.",
            "stage",
            STAGES + STAGES_AFTER,
            r,
        )
        self.events = Counter("simpersona_events", "Records taken from the topic.", registry=r)
        self.duplicates = Counter("simpersona_duplicate_events", "Events folded once already.", registry=r)
        self.late = Counter("simpersona_late_events", "Events beyond the allowed lateness.", registry=r)
        self.erasures = Counter("simpersona_erasures", "Requests to erase a buyer, obeyed.", registry=r)
        self.erased = Counter("simpersona_erased_events", "Events of erased buyers, left out.", registry=r)
        self.consents = Counter(
            "simpersona_consents",
            "Decisions of shoppers, obeyed: withdrawn or given.",
            ["decision"],
            registry=r,
        )
        self.opted_out = Counter(
            "simpersona_opted_out_records", "Records of buyers who have opted out, left out.", registry=r
        )
        self.calibrations = Counter(
            "simpersona_calibrations", "Calibrations passed in the log, one per partition.", registry=r
        )
        self.dead_letters = Counter("simpersona_dead_letters", "Refused records.", ["reason"], registry=r)
        self.assignments = Counter("simpersona_assignments", "Assignments sent.", ["reason"], registry=r)
        self.recoveries = Counter(
            "simpersona_recoveries",
            "Times the cache was dropped and the store read again.",
            ["cause"],
            registry=r,
        )
        self.skipped_offsets = Counter(
            "simpersona_skipped_offsets", "Offsets the topic no longer has or never filled.", registry=r
        )
        self.batch_events = Histogram(
            "simpersona_batch_events", "Records a micro-batch.", buckets=[4**i for i in range(8)], registry=r
        )
        self.checkpoint_seconds = Histogram(
            "simpersona_checkpoint_seconds", "Time of one checkpoint of all partitions.", registry=r
        )
        self.checkpoint_rows = Counter(
            "simpersona_checkpoint_rows", "Rows written by checkpoints.", registry=r
        )
        self.cache_buyers = Gauge("simpersona_cache_buyers", "Buyers in the cache.", registry=r)
        self.cache_bytes = Gauge("simpersona_cache_bytes", "Bytes of the cache.", registry=r)
        self.cache_misses = Counter("simpersona_cache_misses", "Buyers looked up in the store.", registry=r)
        self.evictions = Counter("simpersona_cache_evictions", "Buyers evicted from the cache.", registry=r)
        self.lag = Gauge(
            "simpersona_consumer_lag_events",
            "Events not yet folded, by partition.",
            ["partition"],
            registry=r,
        )
        self.feature_age = Gauge(
            "simpersona_feature_age_seconds",
            "Wall clock minus the CreateTime of the newest record in the store.",
            registry=r,
        )
        self.degraded = Gauge(
            "simpersona_encoder_degraded", "1 while the in-process encoder stands in for Triton.", registry=r
        )
        self.waiting = Gauge(
            "simpersona_waiting",
            "1 while the store, Kafka or the encoder is away and nothing moves.",
            registry=r,
        )
        self.held = Gauge(
            "simpersona_held_partitions",
            "Owned partitions that wait because a stored row of theirs cannot be read.",
            registry=r,
        )
        self.owned = Gauge("simpersona_owned_partitions", "Partitions that this worker owns.", registry=r)
        self.reencoded = Counter(
            "simpersona_reencoded_buyers", "Buyers tagged anew after a swap, without an event.", registry=r
        )
        self.reencode_partitions = Gauge(
            "simpersona_reencode_partitions",
            "Owned partitions in which buyers of another codebook version may be left.",
            registry=r,
        )
        self.commands_failed = Counter(
            "simpersona_commands_failed", "Control commands not obeyed.", ["kind"], registry=r
        )
        self.shadow_compared = Counter(
            "simpersona_shadow_compared",
            "States that the candidate encoded beside the champion.",
            ["candidate"],
            registry=r,
        )
        self.shadow_same_code = Counter(
            "simpersona_shadow_same_code", "Those of them with the same code.", ["candidate"], registry=r
        )
        self.shadow_same_type = Counter(
            "simpersona_shadow_same_type", "Those of them with the same type.", ["candidate"], registry=r
        )
        self.shadow_failed = Counter(
            "simpersona_shadow_failures", "Candidates that failed and were dropped.", registry=r
        )
        self.codebook = Gauge(
            "simpersona_codebook_info", "1 for the codebook version that answers.", ["version"], registry=r
        )
        for decision in get_args(Consent):
            self.consents.labels(decision)
        for kind in COMMAND_KINDS:
            self.commands_failed.labels(kind)
        for reason in DeadLetterReason:
            self.dead_letters.labels(reason.value)
        for why in _REASONS:
            self.assignments.labels(why)

    def begin_shadow(self, candidate: str) -> None:
        """Count for this candidate, from 0; there is one series at a time."""
        for counter in (self.shadow_compared, self.shadow_same_code, self.shadow_same_type):
            counter.clear()
            counter.labels(candidate)


def serve_metrics(host: str, port: int, registry: CollectorRegistry) -> None:
    """Serve /metrics in a thread of its own; port 0: any free one, which the log names.

    Raises:
        MetricsPortError: the port cannot be had.
    """
    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise MetricsPortError(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
    log.info("metrics_served", port=server.server_port)
