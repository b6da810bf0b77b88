"""The persona API of this installation: which topics, which bundle, how commands are written and
read, and what is served for people."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from feature_store.contract.erasure import Erasures
from feature_store.log.config import KafkaSettings, librdkafka_config
from feature_store.online.rows import OnlineRows
from feature_store.settings import HomeSettings
from inference.api.installation import Installation
from inference.api.settings import ApiSettings
from inference.bundles.active import active_bundle
from inference.counts.windows import WindowSettings
from ops.connection import Versions
from ops.dashboards.drift import drift_router
from ops.dashboards.history import history
from ops.dashboards.operation import operation_router
from ops.dashboards.page import page_router
from ops.dashboards.refusals import refusals_router
from ops.dashboards.settings import DashboardSettings
from ops.drift.settings import DriftSettings
from ops.past.as_of import Looker
from ops.past.assignment_archive import ASSIGNMENTS_FOLDER
from ops.past.reading import Sources
from ops.refusals.letters import LetterTally, read_letters
from streams.control import Swap, decode_command
from streams.erasures.remains import Lives, what_remains
from streams.settings import WorkerSettings

_NEWEST_LETTERS: Final = 2_000
"""Of a partition, for one request: a fraction of a second's work."""


def installation() -> Installation:
    """As the environment says."""
    settings = WorkerSettings()
    kafka = librdkafka_config(KafkaSettings())
    lives = Lives(kafka, settings)

    def letters(erasures: Erasures, since: int, store: str) -> LetterTally:
        return read_letters(
            kafka, settings.dead_letters_topic, erasures, since=since, store=store, newest=_NEWEST_LETTERS
        )

    versions, home = Versions(kafka, settings.control_topic), HomeSettings().home
    rows = OnlineRows(settings.store_url, settings.topic)
    sources = Sources(
        kafka,
        settings.topic,
        settings.assignments_topic,
        home / "archive",
        home / ASSIGNMENTS_FOLDER,
        rows.stored_calibrations,
        ApiSettings().history_records,
    )
    looker = Looker(sources, versions.encoder, settings.allowed_lateness_ms)
    return Installation(
        kafka=kafka,
        store_url=settings.store_url,
        topic=settings.topic,
        assignments_topic=settings.assignments_topic,
        erasures_topic=settings.erasures_topic,
        control_topic=settings.control_topic,
        keys_topic=settings.keys_topic,
        home=home,
        bundle=active_bundle(),
        remains=lambda at: what_remains(lives, settings.erasures_topic, at),
        swapped_to=_swapped_to,
        history=history(looker, versions.catalogue),
        routers=(
            page_router(),
            drift_router(WindowSettings(), DriftSettings()),
            operation_router(DashboardSettings()),
            refusals_router(letters),
        ),
    )


def _swapped_to(raw: bytes) -> Path | None:
    try:
        command = decode_command(raw)
    except msgspec.MsgspecError:  # refused, and said so, by the workers
        return None
    return Path(command.bundle) if isinstance(command, Swap) else None
