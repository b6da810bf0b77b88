"""Make a bundle: hash its files, write the manifest, check it as serving does, and publish it as a whole."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from feature_store.workspace import sync
from inference.bundles.bundle import FILES, MANIFEST, MODEL, Bundle, Manifest, load_bundle
from inference.encoders.graph import LAYOUTS, layout_of, open_graph
from inference.errors import BundleError


def seal_bundle(
    staging: Path,
    target: Path,
    *,
    codebook_version: str,
    sources: Sequence[str],
    seed: int,
    command: str,
    stores: Sequence[str] = (),
) -> Bundle:
    """Make the bundle at `target` from the folder `staging`, which holds all its files but the manifest.

    stores: those that the forecast was learned on; none for one that was learned on made-up shops. The
    feature version is that of the graph. staging must be on target's file system. It is renamed, so a reader
    finds the whole bundle or none, even after a power cut.

    Raises:
        BundleError: a file is missing or does not fit, or target exists; staging is left as it is.
    """
    if target.exists():
        raise BundleError(f"{target} is there already; a bundle is never changed: remove it or name another")
    missing = [name for name in FILES if not (staging / name).is_file()]
    if missing:
        raise BundleError(f"{staging} lacks {', '.join(missing)}")
    layout = layout_of(open_graph((staging / MODEL).read_bytes(), threads=1))
    manifest = Manifest(
        feature_version=next(version for version, known in LAYOUTS.items() if known is layout),
        vector_size=layout.width,
        stores=sorted(set(stores)),
        codebook_version=codebook_version,
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        files={name: hashlib.sha256((staging / name).read_bytes()).hexdigest() for name in FILES},
        sources=list(sources),
        seed=seed,
        command=command,
    )
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (staging / MANIFEST).write_bytes(encoded + b"\n")
    return place_bundle(staging, target)


def place_bundle(staging: Path, target: Path) -> Bundle:
    """Check the bundle in staging and rename it to target, on the same file system.

    Raises:
        BundleError: serving would refuse it; target is not touched.
    """
    load_bundle(staging)
    for name in (*FILES, MANIFEST):
        sync(staging / name)
    sync(staging)
    staging.rename(target)
    sync(target.parent)
    return load_bundle(target)
