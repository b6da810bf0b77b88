"""What the requests of an API process share, made when it starts and closed when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from confluent_kafka import Message
from fastapi import Request

from feature_store.contract.erasure import Erasures
from feature_store.contract.identity import BuyerHasher, load_id_keys
from feature_store.online.client import AsyncStore, open_store
from feature_store.online.reads import BuyerReader
from feature_store.online.rows import OnlineRows
from feature_store.online.servers.shared import SharedStore
from feature_store.online.servers.shared_cluster import open_shared
from inference.api.access.key_log import KnownKeys
from inference.api.access.keys import KeyStore
from inference.api.access.tokens import ShopperTokens
from inference.api.bounds.in_flight import InFlight
from inference.api.bounds.json_text import JsonBounds, compile_now
from inference.api.bounds.turns import Turns
from inference.api.collector_counts import IntakeTally
from inference.api.installation import Installation
from inference.api.live.hub import Hub
from inference.api.live.open_streams import OpenStreams
from inference.api.live.pending import PendingErasures
from inference.api.live.producer import AckedProducer
from inference.api.live.resume import Replays
from inference.api.live.tail import LogTail
from inference.api.metrics import ApiMetrics
from inference.api.requests.ages import DAY_MS
from inference.api.requests.payloads import Collector
from inference.api.served_model import ModelKeeper
from inference.api.settings import ApiSettings
from inference.counts.windows import WindowReader, WindowSettings

log = structlog.get_logger(__name__)

_THREADS: Final = 4
"""For large bodies, counts and samples; as many again for what may hang with Kafka. A store has one of them,
so a few stores' work runs beside each other."""


@dataclass
class State:
    """Clients and what they know. Of the event loop's thread.

    store is asked for what most requests need, redis for the rest; asking_kafka are threads for calls that
    may hang as long as Kafka does.
    """

    settings: ApiSettings
    installation: Installation
    metrics: ApiMetrics
    redis: AsyncStore
    store: SharedStore
    keys: KeyStore
    tokens: ShopperTokens
    buyers: BuyerReader
    hasher: BuyerHasher
    producer: AckedProducer
    tail: LogTail
    hub: Hub
    models: ModelKeeper
    erasures: Erasures
    pending: PendingErasures
    streams: OpenStreams
    in_flight: InFlight
    collector: Collector
    work: Turns
    asking_kafka: Turns
    replays: Replays
    windows: WindowReader
    rows: OnlineRows
    intake: IntakeTally
    closing: asyncio.Event

    def names(self, store: str, buyer: str, is_pseudonym: bool) -> list[str]:
        """The buyer's names in events: one for each key of buyer ids, the newest first."""
        return self.hasher.later(store, buyer) if is_pseudonym else self.hasher.buyers(store, buyer)

    async def close(self) -> None:
        """Let what was handed to Kafka be acknowledged, then close every client."""
        await self.producer.close(self.settings.ack_timeout_s)
        await self.tail.close()
        await self.intake.close()
        await self.redis.aclose()
        await self.store.aclose()
        self.work.close()
        self.asking_kafka.close()
        self.replays.close()
        await asyncio.to_thread(self.rows.close)


def open_state(installation: Installation, settings: ApiSettings, closing: asyncio.Event) -> State:
    """Open every client; none of them has to answer yet.

    Raises:
        BundleError: the bundle must not be served.
        IdentityKeyError: there is no key of buyer ids.
    """
    compile_now()
    erasures, pending, known_keys = Erasures(), PendingErasures(), KnownKeys()
    models, hub = ModelKeeper(installation.bundle), Hub(erasures.by_key)

    def erased(messages: Sequence[Message]) -> None:
        erasures.take(messages)
        pending.look({message.key() for message in messages}, erasures)

    def commanded(messages: Sequence[Message]) -> None:
        for message in messages:
            if (folder := installation.swapped_to(message.value())) is not None:
                models.swap(folder)

    client, store = open_store(installation.store_url), open_shared(installation.store_url)
    metrics, windows = ApiMetrics(), WindowSettings()
    id_keys = load_id_keys(installation.home)
    hasher = BuyerHasher(*id_keys)
    rows = OnlineRows(installation.store_url, installation.topic)
    handlers = {
        installation.assignments_topic: hub.publish,
        installation.erasures_topic: erased,
        installation.control_topic: commanded,
        installation.keys_topic: known_keys.take,
    }
    whole = (installation.erasures_topic, installation.control_topic, installation.keys_topic)
    return State(
        settings=settings,
        installation=installation,
        metrics=metrics,
        redis=client,
        store=store,
        keys=KeyStore(store, known_keys.is_revoked),
        tokens=ShopperTokens(id_keys[-1]),
        buyers=BuyerReader(store, installation.topic),
        hasher=hasher,
        producer=AckedProducer(
            installation.kafka,
            queue_events=settings.queue_events,
            ack_timeout_s=settings.ack_timeout_s,
            stalled_s=settings.stalled_s,
        ),
        tail=LogTail(installation.kafka, installation.assignments_topic, whole, hub.begin, handlers),
        hub=hub,
        models=models,
        erasures=erasures,
        pending=pending,
        streams=OpenStreams(settings, metrics),
        collector=Collector(
            hasher,
            settings.max_items,
            JsonBounds(settings.max_json_values, settings.max_item_values, settings.max_json_depth),
            max_age_ms=round(settings.max_event_age_days * DAY_MS),
        ),
        in_flight=InFlight(settings.requests_per_store, settings.body_bytes_per_store),
        work=Turns("work", threads=_THREADS, per_store=1, waiting=settings.requests_per_store),
        asking_kafka=Turns(
            "asking-kafka", threads=_THREADS, per_store=1, waiting=settings.requests_per_store
        ),
        replays=Replays(
            installation.kafka, installation.assignments_topic, waiting=settings.streams_per_store
        ),
        windows=WindowReader(rows, windows),
        rows=rows,
        intake=IntakeTally(client, installation.topic, windows),
        closing=closing,
    )


def state_of(request: Request) -> State:
    """The state of the process that serves a request."""
    state: State = request.app.state.api
    return state


def now_ms() -> int:
    """Wall clock, ms UTC."""
    return time.time_ns() // 1_000_000
