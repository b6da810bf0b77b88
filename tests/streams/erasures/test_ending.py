"""An erasure ends only when nothing of before can be read, anywhere; and no later one is lost with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from feature_store.contract.erasure import Erasure
from streams.erasures.ending import trimmable
from streams.erasures.remains import Lives, what_remains
from streams.settings import WorkerSettings

KEY = b"acme|x"
DAY = 86_400_000
ERASURE = Erasure(partition=1, before_offset=10, requested_at=1, erased_at=2)


@pytest.mark.parametrize(
    ("readable_from", "commanded", "ends"),
    [
        ({1: 10}, set(), True),
        ({1: 11}, {b"acme|y"}, True),
        ({1: 9}, set(), False),
        ({0: 99}, set(), False),
        ({1: 10}, {KEY}, False),
    ],
)
def test_an_erasure_ends_behind_the_log_the_store_and_the_archive(
    readable_from: Mapping[int, int], commanded: set[bytes], ends: bool
) -> None:
    assert trimmable({KEY: ERASURE}, readable_from, commanded) == ({KEY: ERASURE} if ends else {})


def test_who_has_opted_out_stays_so() -> None:
    out = msgspec.structs.replace(ERASURE, consent="withdrawn")
    back = msgspec.structs.replace(ERASURE, consent="given")
    assert trimmable({KEY: out, b"acme|y": back}, {1: 10}, set()) == {b"acme|y": back}


def lives(monkeypatch: pytest.MonkeyPatch, **days: int | None) -> Lives:
    def told(_kafka: Any, topics: list[str]) -> dict[str, int | None]:
        found = days.get(topics[0], 1)
        return {topics[0]: None if found is None else found * DAY}

    monkeypatch.setattr("streams.erasures.remains.record_lives", Mock(side_effect=told))
    settings = WorkerSettings(topic="events", assignments_topic="said", dead_letters_topic="dead")
    return Lives({}, settings.model_copy(update={"erasures_keep_days": 5.0}))


def test_lives_of_topics_that_are_made_of_each_other_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lives(monkeypatch, events=7, said=8, dead=9).patience_ms() == (7 + 8 + 9 + 1) * DAY
    assert lives(monkeypatch).patience_ms() == 5 * DAY  # what the setting asks for
    assert lives(monkeypatch, dead=None).patience_ms() is None


def test_what_is_left_is_told_with_the_time_of_each_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {it.what: it.until for it in what_remains(lives(monkeypatch, events=7, said=None), "erased", 100)}
    assert left["topic events"] == 100 + 7 * DAY
    assert left["topic said"] is None
    assert left["topic erased"] is None  # nothing tells when what was said cannot be read any more
