"""Putting versions live: the registry says which one answers, a folder holds it, a command announces it.

Every move goes in the same order: the bundle is laid down where workers can read it, then the registry's
alias moves, then workers get a command. A move that was cut short is finished by making it again.
"""

from __future__ import annotations

import datetime
import getpass
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from feature_store.log.config import KafkaSettings, check_connection, librdkafka_config
from feature_store.log.producer import Output
from feature_store.settings import HomeSettings
from inference.bundles.active import active_bundle, note_promoted
from inference.bundles.bundle import Bundle, load_bundle
from inference.encoders.settings import EncoderSettings
from inference.encoders.triton_live import put_live
from inference.encoders.triton_repository import MODEL_NAME, build_repository
from ops.errors import ChampionChangedError, ModelsError
from ops.one_at_a_time import sole_holder
from streams.control import Shadow, Swap, encode_command
from streams.settings import WorkerSettings
from training.lifecycle.mlflow_client import RegistrySettings
from training.lifecycle.registry import Registry
from training.lifecycle.versions import Version

log = structlog.get_logger()

Announce = Callable[[Swap | Shadow], None]
"""Tells every worker; returns when Kafka has acknowledged it."""

_REPLACED: Final = "replaced"


class Forced(NamedTuple):
    """Why a version was promoted against its gates; who and when are recorded with it."""

    reason: str
    refusal: str


class Models:
    """The versions of an installation, and what moves them."""

    def __init__(self, registry: Registry, home: Path, announce: Announce | None) -> None:
        """announce None: no command is sent; workers follow the change at the next command."""
        self.registry, self._home, self._announce = registry, home.resolve(), announce

    def champion(self) -> Version:
        """The version that answers. In a new registry that is the bundle which workers start with."""
        holder = self.registry.holder("champion")
        if holder is not None:
            return holder
        bundle = load_bundle(active_bundle())
        version = self.registry.register(
            bundle, extras={}, figures={}, tags={"origin": "what workers began with"}
        )
        self.registry.give("champion", version.number)
        return self.registry.version(version.number)

    def find(self, name: str) -> Version:
        """A version by number, codebook version or alias; a bundle's folder is registered first.

        Raises:
            RegistryError, BundleError: there is none, or the folder cannot be served.
        """
        if Path(name).is_dir():
            bundle = load_bundle(Path(name))
            return self.registry.register(bundle, extras={}, figures={}, tags={"origin": "a folder"})
        return self.registry.version(name)

    def lay_down(self, version: Version) -> Bundle:
        """Bring a version where workers read it.

        Raises:
            RegistryError, BundleError: it cannot be fetched, or a file of it was changed.
        """
        return self.registry.lay_down(version, self._home / "models")

    def _lay_down_to_answer(self, version: Version) -> Bundle:
        # Triton serves what answers; a candidate in the shadow runs inside the workers.
        bundle = self.lay_down(version)
        triton = self._home / "triton" / "models"
        if (triton / MODEL_NAME).is_dir():
            encoding = EncoderSettings()
            if encoding.runtime == "triton":
                put_live(bundle, triton, encoding.triton_url)
            else:
                build_repository(bundle, triton)
        return bundle

    def shadow(self, version: Version | None) -> None:
        """Let a version tag beside the champion, as the candidate; None ends it."""
        with self._moving():
            if version is None:
                self._tell(Shadow(bundle=None))
                return
            bundle = self.lay_down(version)
            self.registry.give("candidate", version.number)
            self._tell(Shadow(bundle=str(bundle.folder)))

    def promote(self, version: Version, forced: Forced | None = None, *, over: Version | None = None) -> None:
        """Make a version the champion. Where it is already, workers get the command again.

        Raises:
            ChampionChangedError: `over` was given and is not the champion any more.
        """
        with self._moving():
            champion = self.champion()
            if over is not None and champion.number not in (over.number, version.number):
                raise ChampionChangedError(
                    f"the champion is version {champion.number} now, no longer {over.number}: "
                    "compare with that one"
                )
            bundle = self._lay_down_to_answer(version)
            if champion.number != version.number:
                self._record(version, champion, forced)
                self.registry.give("champion", version.number)
                if self.registry.holder("candidate") == self.registry.version(version.number):
                    self.registry.take("candidate")
            note_promoted(self._home, bundle.folder)
            self._tell(Swap(bundle=str(bundle.folder)))

    def rollback(self) -> tuple[Version, Version]:
        """Make the champion's predecessor champion again; returns (from, to).

        Raises:
            ModelsError: the champion has none.
        """
        with self._moving():
            champion = self.champion()
            if _REPLACED not in champion.tags:
                raise ModelsError(
                    f"version {champion.number} replaced no other: there is nothing to roll back to"
                )
            before = self.registry.version(champion.tags[_REPLACED])
            bundle = self._lay_down_to_answer(before)
            self.registry.tag(champion.number, {"rolled_back": _now()})
            self.registry.give("champion", before.number)
            note_promoted(self._home, bundle.folder)
            self._tell(Swap(bundle=str(bundle.folder)))
            return champion, before

    def _record(self, version: Version, champion: Version, forced: Forced | None) -> None:
        tags = {_REPLACED: str(champion.number), "promoted": _now()}
        if forced is not None:
            who = f"{getpass.getuser()}@{socket.gethostname()}"
            tags["forced"] = f"{who}, {_now()}: {forced.reason}; against: {forced.refusal}"
            log.warning("promotion_forced", version=version.number, against=forced.refusal)
        self.registry.tag(version.number, tags)

    def _tell(self, command: Swap | Shadow) -> None:
        if self._announce is not None:
            self._announce(command)

    def _moving(self) -> AbstractContextManager[None]:
        return sole_holder(self._home / "models" / ".moving", "a promotion")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@contextmanager
def open_models(*, announce: bool) -> Iterator[Models]:
    """The installation that the environment names.

    Raises:
        RegistryError: MLflow cannot be used.
        TopicError: a command is to be sent, and Kafka does not answer: nothing has been moved.
    """
    home = HomeSettings().home
    tell = _announcer() if announce else None
    yield Models(Registry(home / "registry", RegistrySettings().mlflow_tracking_uri), home, tell)


def _announcer() -> Announce:
    config = librdkafka_config(KafkaSettings())
    check_connection(config)
    settings = WorkerSettings()
    output = Output(config, settings.flush_timeout_s)

    def tell(command: Swap | Shadow) -> None:
        output.send(settings.control_topic, None, encode_command(command))
        output.flush()
        log.info("workers_told", kind=type(command).__name__.lower(), bundle=command.bundle)

    return tell
