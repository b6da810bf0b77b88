"""What a shop's ended sessions say of its forecasts: measures, gate, fit and alarm."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from feature_store.contract.calibration import Calibration, Curve, Gate, encode_calibration
from inference.calibration.e_process import EProcess
from inference.calibration.gate import LARGEST_ERROR, is_better, judge
from inference.calibration.platt import Graded, Platt, fit_shops
from inference.calibration.scores import (
    Bools,
    Floats,
    Ints,
    brier,
    calibration_error,
    kappa,
    log_loss,
)
from ops.calibration.grading import LONGEST_MS, Ended, Forecast

RULES: Final[dict[str, Callable[[Forecast], int]]] = {
    "base rate": lambda _it: 0,
    "new or returning": lambda it: it.cell % 2,
    "has carted": lambda it: int(it.cell >= 2),
    "depth and visits": lambda it: it.cell,
    "event of the session": lambda it: it.position,
}
"""Groups of buyers whose share that stayed, in the sessions before, is what the rule states."""


class Stated(NamedTuple):
    """Forecasts of one kind, ordered by time: as the graph gave them, as stated, and what came."""

    raw: Graded
    stated: Floats
    session: Ints


class Shop(NamedTuple):
    """The report on one store; JSON but for `publish`, the record that its sessions ask for."""

    report: dict[str, Any]
    publish: Calibration | None


def look_at(
    ended: Sequence[Ended],
    open_since: Mapping[str, int],
    current: Mapping[str, Calibration | None],
    version: str,
) -> dict[str, Shop]:
    """Judge every store.

    ended: of all partitions. open_since: store -> time (ms) of the first forecast of a session that has not
    ended. current: store -> the calibration that holds for its next event; None: none does.
    """
    by_store: dict[str, list[Ended]] = {store: [] for store in current}
    for one in sorted(ended, key=lambda it: it.forecasts[0].time):
        by_store.setdefault(one.store, []).append(one)
    stores = sorted(by_store)
    stated = {store: (_confidence(by_store[store]), _forecast(by_store[store])) for store in stores}
    fits = [fit_shops([stated[store][kind].raw for store in stores]) for kind in (0, 1)]
    return {
        store: _shop(
            store,
            by_store[store],
            stated[store],
            (fits[0][i], fits[1][i]),
            current.get(store),
            open_since.get(store),
            version,
        )
        for i, store in enumerate(stores)
    }


def _shop(
    store: str,
    ended: Sequence[Ended],
    stated: tuple[Stated, Stated],
    fits: tuple[Platt, Platt],
    current: Calibration | None,
    open_since: int | None,
    version: str,
) -> Shop:
    gates = [judge(kind.raw, kind.session) for kind in stated]
    processes = [_evidence(ended, kind, current, open_since) for kind in ("confidence", "chance")]
    report: dict[str, Any] = {
        "sessions": len(ended),
        "holds": None if current is None else current.calibration_id if current.holds else False,
        "rules": _rules(ended),
    }
    for name, kind, gate, fit, process in zip(
        ("confidence", "forecast"), stated, gates, fits, processes, strict=True
    ):
        report[name] = {
            "raw": _measured(kind.raw.p, kind.raw.y, kind.session),
            "stated": _measured(*_only_stated(kind)),
            "fit": {"a": round(fit.a, 4), "b": round(fit.b, 4)},
            "passed": gate.passed,
            "why": gate.why,
            "evidence": round(process.highest, 3),
            "alarm": process.is_alarmed,
            "judged": process.sessions,
        }
    report["forecast"]["kappa"] = _number(_kappa(ended))
    named = {"confidence": gates[0], "forecast": gates[1]}
    publish = _record(store, version, len(ended), stated, named, fits, current)
    report["publish"] = None if publish is None else publish.calibration_id
    return Shop(report, publish)


def _record(
    store: str,
    version: str,
    sessions: int,
    stated: tuple[Stated, Stated],
    gates: dict[str, Gate],
    fits: tuple[Platt, Platt],
    current: Calibration | None,
) -> Calibration | None:
    """The record that is due: a first one, a better one, or the end of one that was shown to be wrong."""
    passed = [gate.passed for gate in gates.values()]
    curves = [Curve(a=fit.a, b=fit.b) if good else None for fit, good in zip(fits, passed, strict=True)]
    made = _named(
        Calibration(
            store=store,
            codebook_version=version,
            calibration_id="unnamed",
            fitted_on=sessions,
            gate=gates,
            confidence=curves[0],
            forecast=curves[1],
            holds=any(passed),
        )
    )
    if not any(passed):
        holds = current is None or current.holds
        return made if holds and all(_is_refuted(gate) for gate in gates.values()) else None
    if current is None or not current.holds:
        return made
    old = [current.confidence, current.forecast]
    for kind, before, after in zip(stated, old, curves, strict=True):
        if after is not None and is_better(
            None if before is None else Platt(before.a, before.b), Platt(after.a, after.b), kind.raw
        ):
            return made
    return None


def _named(calibration: Calibration) -> Calibration:
    """Named by its content, so that a job that repeats itself gives the same name."""
    name = hashlib.sha256(encode_calibration(calibration)).hexdigest()[:12]
    return msgspec.structs.replace(calibration, calibration_id=f"c{name}")


def _is_refuted(gate: Gate) -> bool:
    """Whether enough sessions show that nothing may be stated: not merely too few to tell."""
    if gate.passed or gate.auc is None or gate.error is None:
        return False
    return gate.auc[2] <= 0.5 or gate.error[1] > LARGEST_ERROR


# ---- forecasts as arrays


def _confidence(ended: Sequence[Ended]) -> Stated:
    return _stated_by(ended, lambda it: (it.raw_confidence, it.confidence, it.type))


def _forecast(ended: Sequence[Ended]) -> Stated:
    return _stated_by(ended, lambda it: (it.raw_chance, it.chance, it.forecast))


def _stated_by(ended: Sequence[Ended], of: Callable[[Forecast], tuple[float, float, int]]) -> Stated:
    rows = []
    for number, session in enumerate(ended):
        known = [of(it) for it in session.forecasts if not np.isnan(of(it)[0])]
        rows += [(raw, spoken, kind == session.type, number, 1 / len(known)) for raw, spoken, kind in known]
    columns = list(zip(*rows, strict=True)) or [(), (), (), (), ()]
    raw, spoken, came, session_, weight = columns
    graded = Graded(np.array(raw, np.float64), np.array(came, np.bool_), np.array(weight, np.float64))
    return Stated(graded, np.array(spoken, np.float64), np.array(session_, np.int64))


def _only_stated(stated: Stated) -> tuple[Floats, Bools, Ints]:
    at = ~np.isnan(stated.stated)
    return stated.stated[at], stated.raw.y[at], stated.session[at]


def _measured(p: Floats, y: Bools, session: Ints) -> dict[str, Any]:
    error = calibration_error(p, y, session)
    return {
        "forecasts": len(p),
        "brier": _number(brier(p, y)),
        "log_loss": _number(log_loss(p, y)),
        "error": None if np.isnan(error.value) else [round(value, 4) for value in error],
    }


def _kappa(ended: Sequence[Ended]) -> float:
    pairs = [(it.forecast, one.type) for one in ended for it in one.forecasts if it.forecast >= 0]
    named, came = (np.array(column, np.int64) for column in (zip(*pairs, strict=True) if pairs else ((), ())))
    return kappa(named, came)


def _rules(ended: Sequence[Ended]) -> dict[str, float | None]:
    """Log loss of each rule on whether the type stays, each session judged by those before it."""
    found = {}
    for name, group_of in RULES.items():
        seen: dict[int, list[float]] = {}
        p: list[float] = []
        y: list[bool] = []
        for session in ended:
            now = [(group_of(it), it.type == session.type) for it in session.forecasts if it.type >= 0]
            for group, stayed in now:
                hits, of = seen.get(group, [1.0, 2.0])
                p.append(hits / of)
                y.append(stayed)
            for group, stayed in now:
                counts = seen.setdefault(group, [1.0, 2.0])
                counts[0] += stayed
                counts[1] += 1
        found[name] = _number(log_loss(np.array(p), np.array(y, np.bool_)))
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


# ---- the alarm


def _evidence(
    ended: Sequence[Ended], what: str, current: Calibration | None, open_since: int | None
) -> EProcess:
    """The evidence against what is stated now: first forecasts of sessions, in the order in which they were
    made, up to the first whose session has not ended. Sessions of more than a day are left out."""
    name = None if current is None else current.calibration_id
    p: list[float] = []
    came: list[bool] = []
    for session in ended:
        first: Forecast = session.forecasts[0]
        if open_since is not None and first.time >= open_since:
            break
        value = getattr(first, what)
        if first.calibration == name and not np.isnan(value) and session.ended - first.time <= LONGEST_MS:
            kind = first.type if what == "confidence" else first.forecast
            p.append(value)
            came.append(kind == session.type)
    process = EProcess()
    process.add(np.array(p), np.array(came, np.bool_))
    return process
