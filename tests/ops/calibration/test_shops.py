"""What a store's ended sessions ask for: a record, its end, or nothing and why."""

from __future__ import annotations

import numpy as np
import pytest

from feature_store.contract.calibration import Calibration
from ops.calibration.grading import Ended, Forecast
from ops.calibration.shops import Shop, look_at
from tests.inference.calibration.streams import shop

NAN = float("nan")


def sessions(
    count: int, a: float, b: float, seed: int, store: str = "acme", named: Calibration | None = None
) -> list[Ended]:
    """Sessions whose type stays, and whose forecast is right, with the logit a x + b; stated by `named`."""
    data, _ = shop(count, a, b, seed)
    found = []
    for i, (p, came) in enumerate(zip(data.p.tolist(), data.y.tolist(), strict=True)):
        curve = named and named.confidence
        stated = NAN if curve is None else float(_applied(curve.a, curve.b, p))
        made = [
            Forecast(i * 60_000 + at, at, i % 8, 1, p, stated, 1, p, stated, named and named.calibration_id)
            for at in (3, 5)
        ]
        found.append(Ended(store, i * 60_000 + 900, 1 if came else 2, made))
    return found


def _applied(a: float, b: float, p: float) -> float:
    return 1 / (1 + np.exp(-(a * np.log(p / (1 - p)) + b)))


def look(ended: list[Ended], current: Calibration | None = None) -> Shop:
    return look_at(ended, {}, {"acme": current}, "v1")["acme"]


def test_an_unseen_shop_gets_a_record_once_its_sessions_allow_it() -> None:
    found = look(sessions(900, 0.7, -0.8, seed=1))
    assert found.publish is not None
    assert found.publish.holds
    assert found.publish.confidence is not None
    assert found.publish.confidence.b == pytest.approx(-0.8, abs=0.35)
    assert found.publish.codebook_version == "v1"
    assert found.report["forecast"]["stated"]["forecasts"] == 0
    assert found.report["confidence"]["raw"]["error"][0] > 0.1
    assert found.report["confidence"]["raw"]["log_loss"] > 0
    assert set(found.report["rules"]) >= {"base rate", "depth and visits"}


def test_the_same_sessions_ask_for_the_same_record_and_only_once() -> None:
    ended = sessions(900, 0.7, -0.8, seed=1)
    first, again = look(ended), look(ended)
    assert first.publish == again.publish
    assert look(ended, first.publish).publish is None


def test_what_changed_asks_for_another() -> None:
    first = look(sessions(900, 0.7, -0.8, seed=1)).publish
    later = look(sessions(2_000, 0.7, 1.2, seed=2, named=first), first)
    assert later.publish is not None
    assert later.report["confidence"]["alarm"]
    assert later.report["confidence"]["stated"]["error"][0] > 0.1


@pytest.mark.parametrize("count", [0, 1, 10, 499])
def test_too_few_sessions_ask_for_nothing_and_say_so(count: int) -> None:
    found = look(sessions(count, 0.7, -0.8, seed=1))
    assert found.publish is None
    assert "500 are needed" in found.report["confidence"]["why"]
    assert found.report["sessions"] == count


def test_sessions_that_never_differ_ask_for_nothing() -> None:
    ended = [one._replace(type=1) for one in sessions(700, 0.7, 0.0, seed=1)]
    found = look(ended)
    assert found.publish is None
    assert "one class" in found.report["forecast"]["why"]


def test_forecasts_that_are_shown_to_tell_nothing_are_no_longer_stated() -> None:
    ended = sessions(3_000, -0.8, 0.0, seed=1)
    found = look(ended)
    assert found.publish is not None
    assert not found.publish.holds
    assert look(ended, found.publish).publish is None


def test_a_graph_without_a_confidence_is_judged_by_its_forecast() -> None:
    ended = [
        one._replace(forecasts=[it._replace(raw_confidence=NAN) for it in one.forecasts])
        for one in sessions(900, 0.7, -0.8, seed=1)
    ]
    found = look(ended)
    assert found.publish is not None
    assert found.publish.confidence is None
    assert found.publish.forecast is not None


def test_stores_are_judged_apart_and_a_small_one_borrows() -> None:
    ended = sessions(900, 0.7, -0.8, seed=1) + sessions(20, 0.7, -0.8, seed=2, store="small")
    found = look_at(ended, {}, {"acme": None, "small": None, "known": None}, "v1")
    assert found["small"].publish is None
    assert found["small"].report["confidence"]["fit"]["b"] < -0.2
    assert found["known"].report["sessions"] == 0


def test_a_session_that_is_open_holds_the_alarm_up_not_the_fit() -> None:
    first = look(sessions(900, 0.7, -0.8, seed=1)).publish
    ended = sessions(800, 0.7, -0.8, seed=2, named=first)
    found = look_at(ended, {"acme": 100 * 60_000}, {"acme": first}, "v1")["acme"]
    assert found.report["confidence"]["judged"] == 100
    assert found.report["sessions"] == 800
