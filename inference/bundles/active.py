"""Which bundle answers in this installation: the one promoted last, else the settings', else the package's.

Workers hear of a promotion on the control topic. Commands that have no Kafka at hand, and workers that start
after the topic's retention has cut the promotion, read it here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from feature_store.settings import HomeSettings
from feature_store.workspace import write_whole
from inference.bundles.bundle import starter_bundle_path
from inference.encoders.settings import EncoderSettings

_PROMOTED: Final = Path("models") / ".promoted"
"""Holds the name of a folder beside it."""


def answering_bundle() -> Path:
    """The folder of the bundle that answers, as far as this machine's data folder tells."""
    promoted = HomeSettings().home / _PROMOTED
    try:
        return promoted.with_name(promoted.read_text().strip())
    except FileNotFoundError:
        return EncoderSettings().bundle or starter_bundle_path()


def note_promoted(home: Path, bundle: Path) -> None:
    """Take down that the bundle in `home`/models/`bundle.name` answers from now on."""
    write_whole(home / _PROMOTED, f"{bundle.name}\n".encode())
