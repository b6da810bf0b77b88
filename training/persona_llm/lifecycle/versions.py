"""Codes of one codebook version as codes of another: through the alignments of retrains, or not at all.

A model's tokens mean the shoppers of one codebook. A token of another version names another shopper under
the same number, so it is mapped or refused, never mixed in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.encoders.graph import CODES
from inference.population import Mix
from training.errors import CodebookError
from training.lifecycle.registry import ALIGNMENT, Registry
from training.persona_llm.traces.traces import NO_CODE

Codes = NDArray[np.int64]


class Translation(NamedTuple):
    """source and target: codebook versions. codes int64 [256]: each source code as a target code, NO_CODE
    where it has no counterpart."""

    source: str
    target: str
    codes: Codes

    def mix(self, mix: Mix) -> Mix:
        """A mix of source codes as one of target codes; codes without counterpart are left out.

        Raises:
            CodebookError: none of its codes has a counterpart.
        """
        known = self.codes != NO_CODE
        shares = np.bincount(self.codes[known], weights=mix.shares[known], minlength=CODES)
        if shares.sum() == 0:
            raise CodebookError(f"no code of the codebook {self.source} has a counterpart in {self.target}")
        return mix._replace(shares=shares / shares.sum())

    def lost(self, mix: Mix) -> float:
        """The share of a mix of source codes that has no counterpart."""
        return float(mix.shares[self.codes == NO_CODE].sum())


def require_codebook(spoken: str, given: str, where: Path) -> None:
    """Refuse tokens of another codebook version than the one that is spoken here.

    Raises:
        CodebookError: they differ.
    """
    if given != spoken:
        raise CodebookError(f"the tokens of {where} are of the codebook {given}, not of {spoken}")


def same(version: str) -> Translation:
    """Codes as they are."""
    return Translation(version, version, np.arange(CODES))


def forward(alignment: Mapping[str, Any]) -> Translation:
    """From the older codebook of alignment.json to the newer: what most of a code's buyers have now."""
    codes = np.full(CODES, NO_CODE)
    for row in alignment["codes"]:
        if row["successor"] is not None:
            codes[row["old"]] = row["successor"]
    return Translation(alignment["from"], alignment["to"], codes)


def backward(alignment: Mapping[str, Any]) -> Translation:
    """From the newer codebook to the older: a code that was kept is itself; a new one is the old code whose
    buyers went there, the one that gave the largest share of them where several did."""
    codes, best = np.full(CODES, NO_CODE), np.zeros(CODES)
    for row in alignment["codes"]:
        to = row["successor"]
        if to is not None and row["shared"] > best[to]:
            codes[to], best[to] = row["old"], row["shared"]
    for row in alignment["codes"]:
        if row["status"] == "kept":
            codes[row["old"]] = row["old"]
    return Translation(alignment["to"], alignment["from"], codes)


def translation(registry: Registry, source: str, target: str) -> Translation:
    """How codes of one version are those of another, through their nearest common ancestor.

    Raises:
        CodebookError: the registry knows no alignment that leads from one to the other.
        RegistryError: it cannot be read.
    """
    if source == target:
        return same(source)
    alignments = _alignments(registry)
    ups, downs = _ancestors(source, alignments), _ancestors(target, alignments)
    meeting = next((version for version in ups if version in downs), None)
    if meeting is None:
        raise CodebookError(
            f"the model speaks the codebook {target}, the tokens are of {source}, and the registry has no "
            "alignment between them: name that bundle, or retrain the model"
        )
    way = same(source)
    for version in ups[: ups.index(meeting)]:
        way = _then(way, backward(alignments[version]))
    for version in reversed(downs[: downs.index(meeting)]):
        way = _then(way, forward(alignments[version]))
    return way


def _alignments(registry: Registry) -> dict[str, dict[str, Any]]:
    """alignment.json by the version that it leads to."""
    found = {}
    for version in registry.versions():
        with registry.extra(version, ALIGNMENT) as path:
            if path is not None:
                found[version.codebook_version] = json.loads(path.read_bytes())
    return found


def _ancestors(version: str, alignments: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The version itself, the one it was aligned with, and so on."""
    line = [version]
    while line[-1] in alignments and alignments[line[-1]]["from"] not in line:
        line.append(alignments[line[-1]]["from"])
    return line


def _then(first: Translation, second: Translation) -> Translation:
    codes = np.where(first.codes == NO_CODE, NO_CODE, second.codes[first.codes])
    return Translation(first.source, second.target, codes)
