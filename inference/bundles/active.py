"""The active bundle of an installation: the last promoted, else that of the settings, else the package's.

Workers learn of a promotion from the control topic. Commands without Kafka read it here, and so do workers
that start after the topic's retention has deleted the promotion.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from feature_store.settings import HomeSettings
from feature_store.workspace import write_whole
from inference.bundles.bundle import starter_bundle_path
from inference.encoders.settings import EncoderSettings

_PROMOTED: Final = Path("models") / ".promoted"
"""A file with the name of the promoted bundle's folder, which lies beside it."""


def active_bundle() -> Path:
    """The folder of the active bundle, according to the data folder of this machine."""
    promoted = HomeSettings().home / _PROMOTED
    try:
        return promoted.with_name(promoted.read_text().strip())
    except FileNotFoundError:
        return EncoderSettings().bundle or starter_bundle_path()


def note_promoted(home: Path, bundle: Path) -> None:
    """Record that the bundle in `home`/models/`bundle.name` is active from now on."""
    write_whole(home / _PROMOTED, f"{bundle.name}\n".encode())
