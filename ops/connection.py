"""Clients of a running installation, made from settings: what several commands need at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_store.contract.identity import BuyerHasher, load_id_keys
from feature_store.errors import IdentityKeyError
from feature_store.log.config import KafkaSettings, check_connection, librdkafka_config
from feature_store.log.erasure_writer import ErasureWriter
from feature_store.log.erasures import ErasureLog
from feature_store.online.rows import OnlineRows
from feature_store.settings import HomeSettings
from inference.api.access.key_log import KeyLog
from inference.bundles.active import active_bundle
from inference.bundles.bundle import Bundle, load_bundle, starter_bundle_path
from inference.bundles.catalogue import Catalogue
from inference.counts.windows import WindowSettings
from inference.encoders.encoder import Encoder
from inference.encoders.onnx import OnnxEncoder
from inference.encoders.settings import EncoderSettings, make_encoder
from inference.errors import BundleError
from ops.past.as_of import Looker
from ops.past.assignment_archive import ASSIGNMENTS_FOLDER
from ops.past.reading import Sources
from ops.verify.installation import Sample, Verifier
from streams.commands import read_standing
from streams.erasures.remains import Lives
from streams.settings import WorkerSettings


@dataclass
class Connection:
    """Kafka and the store of one installation."""

    settings: WorkerSettings
    kafka: dict[str, Any]
    rows: OnlineRows
    erasures: ErasureLog
    home: Path

    def erasure_writer(self) -> ErasureWriter:
        """What writes requests to erase, and ends erasures."""
        topics = self.settings
        return ErasureWriter(self.kafka, topics.topic, topics.erasures_topic, topics.flush_timeout_s)

    def lives(self) -> Lives:
        """How long records of the topics can be read."""
        return Lives(self.kafka, self.settings)

    def names(self, store: str, buyer: str, is_pseudonym: bool) -> list[str]:
        """All names that a buyer may have in events, the newest first.

        Raises:
            IdentityKeyError: there is no key, and the id is the shop's own.
        """
        if not is_pseudonym:
            return BuyerHasher(*load_id_keys(self.home)).buyers(store, buyer)
        try:
            return BuyerHasher(*load_id_keys(self.home)).later(store, buyer)
        except IdentityKeyError:
            return [buyer]

    def looker(self, versions: Versions) -> Looker:
        """What looks back: over topics and archives, with these bundles."""
        sources = Sources(
            self.kafka,
            self.settings.topic,
            self.settings.assignments_topic,
            self.home / "archive",
            self.home / ASSIGNMENTS_FOLDER,
            self.rows.stored_calibrations,
        )
        return Looker(sources, versions.encoder, self.settings.allowed_lateness_ms)

    def verifier(self, encoder: Encoder | None = None, sample: Sample | None = None) -> Verifier:
        """The oracle, with the champion's bundle and all that were swapped to before.

        encoder: what answers before any swap; what the settings name unless it is given. sample: the buyers
        to compare; all of them unless it is given.
        """
        first = encoder or make_encoder(EncoderSettings(), on_mode_change=lambda _mode: None)
        return Verifier(
            self.kafka,
            self.settings.topic,
            self.settings.assignments_topic,
            self.rows,
            self.erasures,
            KeyLog(self.kafka, self.settings.keys_topic, self.settings.flush_timeout_s),
            swapped_encoders(self.kafka, self.settings.control_topic, first),
            self.home / "archive",
            self.settings.allowed_lateness_ms,
            WindowSettings(),
            sample,
        )


def swapped_encoders(kafka: dict[str, Any], control_topic: str, first: Encoder) -> list[Encoder]:
    """Encoders of the bundles that workers swapped to, the last one first, then the one before any swap.

    A bundle that is gone or does not fit is left out: workers refused it, or nobody can judge it.

    Raises:
        TopicError: the control topic cannot be read.
    """
    encoders: list[Encoder] = []
    for folder in dict.fromkeys(read_standing(kafka, control_topic).swaps):
        with contextlib.suppress(BundleError):
            encoders.append(OnnxEncoder(load_bundle(Path(folder))))
    return [*encoders, first]


class Versions:
    """Bundles of every version that may have assigned something and that is here. They are loaded when they
    are first asked for; for several threads."""

    def __init__(self, kafka: Mapping[str, Any], control_topic: str) -> None:
        self._kafka, self._control_topic = dict(kafka), control_topic
        self._lock = threading.Lock()
        self._bundles: dict[str, Bundle] = {}
        self._encoders: dict[str, Encoder] = {}

    def encoder(self, version: str) -> Encoder | None:
        """The encoder of a version; None where its bundle is gone.

        Raises:
            TopicError: the control topic, which names the bundles, cannot be read.
        """
        with self._lock:
            if version not in self._encoders and self._find(version):
                self._encoders[version] = OnnxEncoder(self._bundles[version])
            return self._encoders.get(version)

    def catalogue(self, version: str) -> Catalogue | None:
        """The catalogue of a version; None where its bundle is gone. Raises as `encoder` does."""
        with self._lock:
            return self._bundles[version].catalogue if self._find(version) else None

    def _find(self, version: str) -> bool:
        if version not in self._bundles:
            swaps = read_standing(self._kafka, self._control_topic).swaps
            configured = EncoderSettings().bundle or starter_bundle_path()
            for folder in dict.fromkeys([*map(Path, swaps), active_bundle(), configured]):
                with contextlib.suppress(BundleError):
                    bundle = load_bundle(folder)
                    self._bundles.setdefault(bundle.codebook_version, bundle)
                if version in self._bundles:
                    break
        return version in self._bundles


@contextmanager
def connect(
    settings: WorkerSettings | None = None, kafka: KafkaSettings | None = None
) -> Iterator[Connection]:
    """Connect as the environment says, or as the given settings do.

    Raises:
        OnlineStoreError, TopicError: a server does not answer.
    """
    settings = settings or WorkerSettings()
    config = librdkafka_config(kafka or KafkaSettings())
    check_connection(config)
    home = HomeSettings().home
    rows = OnlineRows(settings.store_url, settings.topic)
    erasures = ErasureLog(config, settings.erasures_topic)
    try:
        yield Connection(settings, config, rows, erasures, home)
    finally:
        erasures.close()
        rows.close()
