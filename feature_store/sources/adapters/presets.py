"""The mapping files that come with the package: each is a format of the file's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from feature_store.sources.adapters.mapping.loading import load_mapping
from feature_store.sources.adapters.mapping.pixel import PixelMapping
from feature_store.sources.formats import Format, register, vendor


def mapped(name: str, pixel: PixelMapping) -> Format:
    """The format that a mapping file describes."""
    file = pixel.file
    found = vendor(
        name,
        file.about or "A mapping file",
        pixel.adapt,
        signs=tuple(map(frozenset, file.signs)),
        names=pixel.known_names,
        store=file.store,
        time_unit=file.time_unit,
    )
    return replace(
        found,
        timezone=file.timezone,
        json_text=False,  # paths go into such texts by themselves
        dialect=file.dialect,
    )


def preset_files() -> list[Path]:
    """The mapping files, by name."""
    return sorted((Path(__file__).parent / "mappings").glob("*.toml"))


for _preset in preset_files():
    register(mapped(_preset.stem, load_mapping(_preset)))
