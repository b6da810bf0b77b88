"""Every kind of damage to a partition's bytes, generated from the layouts: a new field has its own at once.

A mutation changes the store and says what `verify` must name. Those of a row that holds what the log does not
say are in NOT_PROVABLE, each with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import numpy as np

from feature_store.contract.calibration import Calibration, Curve, decode_calibration, encode_calibration
from feature_store.fold.behavior import COUNTERS, StateArrays, empty_states
from feature_store.fold.memory import add_block
from feature_store.fold.orders import fold_purchase, order_key
from feature_store.fold.state import pack_states, unpack_states
from feature_store.online.assignment import (
    OFFSET_DIGITS,
    Assignment,
    decode_assignment,
    encode_assignment,
)
from feature_store.online.encoding import Progress, RowHeader, Tagged, pack_row, unpack_row
from tests.ops.verify.damage import Mutation, another, copy, delete, get, keys, name_of, setting
from tests.ops.verify.live import Live
from tests.ops.verify.window_mutations import of_windows

NOT_PROVABLE: Final = {
    "progress.sequence + 1": "it counts checkpoints, the log does not; a live worker reads the store again",
    "persona-writes: another number": "only its owner knows; a live worker is fenced and reads again",
    "codebook.all_of_them": "`walking` for `done` costs one more walk; counted as `partitions_walking`",
}


_NAMED: Final = {"state.fold": "state.row_version", "progress.row_version": "progress.row"}
"""Fields of a release that this code does not know: the whole row cannot be read then."""
_LOST_HISTORY: Final = "the log may have lost history"
_NO_FENCE: Final = "there is no fence to write behind; stop the workers, empty the store, replay"
_UNKNOWN: Final = "what it is for is not known"
BEYOND_REPAIR: Final = {
    "state.events": f"the row holds more events than the log: {_LOST_HISTORY}",
    "state: of nobody": _LOST_HISTORY,
    "progress.next_offset + 1": "the log ends before it; stop the workers, empty the store, replay",
    "progress: not three numbers": _NO_FENCE,
    "progress.row_version + 1": "the rows are of a later release; run that one",
    "progress: deleted": _NO_FENCE,
    "persona-writes: no number": "what it counted is not in the log; delete the key while no worker runs",
    "a key that nobody knows": _UNKNOWN,
    "a window of no time": _UNKNOWN,
}
"""What `verify --repair` shows and leaves alone."""


def mutations() -> Iterator[Mutation]:
    """All of them."""
    yield from _of_headers()
    yield from _of_states()
    yield from _of_personas()
    yield from _of_sessions()
    yield from of_windows()
    yield from _of_partition()
    yield from _of_calibrations()


# ---- state rows


def _of_headers() -> Iterator[Mutation]:
    for name in RowHeader._fields:
        yield Mutation(f"state.{name}", _NAMED.get(f"state.{name}", f"state.{name}"), _header(name))
    yield Mutation("state: row version", "state.row_version", _state_bytes(lambda row: b"\xff" + row[1:]))
    yield Mutation("state: cut short", "state.length", _state_bytes(lambda row: row[:-9]))
    yield Mutation("state: a header's stump", "state.row_version", _state_bytes(lambda row: row[:9]))
    yield Mutation("state: deleted", "state.row", lambda live: delete(live, keys(live, b"state:")[:1]))
    yield Mutation("state: of nobody", "state.nobody", lambda live: copy(live, b"state:"))


def _header(name: str) -> Callable[[Live], None]:
    def change(row: bytes) -> bytes:
        header, state = unpack_row(row)
        return pack_row(header._replace(**{name: another(getattr(header, name), name)}), state)

    return _state_bytes(change)


def _of_states() -> Iterator[Mutation]:
    for array in (name for name in StateArrays._fields if name != "memory"):
        names = COUNTERS if array == "counters" else (array,)
        for column, name in enumerate(names):
            yield Mutation(f"state.{name}", f"state.{name}", _array(array, column))
    yield Mutation("state: another order remembered", "state.memory", _memory(_another_order))
    yield Mutation("state: another block of ids remembered", "state.memory", _memory(_another_block))


def _memory(change: Callable[[StateArrays], object]) -> Callable[[Live], None]:
    def changed(row: bytes) -> bytes:
        header, packed = unpack_row(row)
        states = empty_states(1)
        unpack_states(states, np.zeros(1, np.int64), [packed])
        change(states)
        return pack_row(header, pack_states(states, np.zeros(1, np.int64))[0])

    return _state_bytes(changed)


def _another_order(states: StateArrays) -> None:
    fold_purchase(states.memory, 0, np.uint64(order_key("of nobody")), np.uint64(0), 100)


def _another_block(states: StateArrays) -> None:
    add_block(states.memory, 0, states.ring[0], 1)


def _array(array: str, column: int) -> Callable[[Live], None]:
    def change(row: bytes) -> bytes:
        header, packed = unpack_row(row)
        states = empty_states(1)
        unpack_states(states, np.zeros(1, np.int64), [packed])
        cells = getattr(states, array).reshape(-1)
        cells[column] += 1
        return pack_row(header, pack_states(states, np.zeros(1, np.int64))[0])

    return _state_bytes(change)


def _state_bytes(change: Callable[[bytes], bytes]) -> Callable[[Live], None]:
    def damage(live: Live) -> None:
        key = max(keys(live, b"state:"), key=lambda name: live.client.strlen(name.decode()))
        live.client.set(key, change(get(live, key)))

    return damage


# ---- persona rows


def _of_personas() -> Iterator[Mutation]:
    for name in Assignment.__struct_fields__:
        named = {"offset": "persona.digits", "schema_version": "persona.json"}.get(name, f"persona.{name}")
        named = "persona.token" if name == "code" else named  # the two must say the same
        yield Mutation(f"persona.{name}", named, _persona(name, digits=False))
    yield Mutation("persona.offset with its digits", "persona.offset", _persona("offset", digits=True))
    yield Mutation("persona.code with its token", "persona.code", _persona_bytes(_code_and_token))
    yield Mutation("persona: digits", "persona.digits", _persona_bytes(lambda row: b"1" + row[1:]))
    yield Mutation("persona: cut short", "persona.json", _persona_bytes(lambda row: row[:-1]))
    yield Mutation("persona: a space more", "persona.json", _persona_bytes(lambda row: row + b" "))
    yield Mutation("persona: deleted", "persona.row", lambda live: delete(live, keys(live, b"persona:")[:1]))
    yield Mutation("persona: all deleted", "persona.row", lambda live: delete(live, keys(live, b"persona:")))
    yield Mutation("persona: of nobody", "persona.buyer", lambda live: copy(live, b"persona:"))
    yield Mutation("persona: of two stores exchanged", "persona.store", _exchange)


def _persona(name: str, *, digits: bool) -> Callable[[Live], None]:
    def change(row: bytes) -> bytes:
        fields = msgspec.json.decode(row[OFFSET_DIGITS:])
        fields[name] = another(fields[name], name)
        start = b"%0*d" % (OFFSET_DIGITS, fields["offset"]) if digits else row[:OFFSET_DIGITS]
        return start + msgspec.json.encode(fields)

    return _persona_bytes(change)


def _code_and_token(row: bytes) -> bytes:
    a = decode_assignment(row[OFFSET_DIGITS:])
    code = (a.code + 1) % 256
    wrong = msgspec.structs.replace(a, code=code, token=f"<|persona_{code}|>")
    return row[:OFFSET_DIGITS] + encode_assignment(wrong)


def _persona_bytes(change: Callable[[bytes], bytes]) -> Callable[[Live], None]:
    def damage(live: Live) -> None:
        key = keys(live, b"persona:")[0]
        live.client.set(key, change(get(live, key)))

    return damage


def _exchange(live: Live) -> None:
    ours, theirs = keys(live, b"persona:acme|")[0], keys(live, b"persona:bravo|")[0]
    one, two = get(live, ours), get(live, theirs)
    live.client.mset({ours: two, theirs: one})


# ---- open sessions


def _of_sessions() -> Iterator[Mutation]:
    def later(live: Live) -> None:
        live.client.zincrby(name_of(live, b"open").decode(), 1, _somebody(live))

    def gone(live: Live) -> None:
        live.client.zrem(name_of(live, b"open"), _somebody(live))

    def nobody(live: Live) -> None:
        live.client.zadd(name_of(live, b"open"), {b"acme|nobody": 1})

    def ended(live: Live) -> None:
        live.client.zadd(name_of(live, b"open"), {b"acme|" + live.quiet.encode(): 1})

    yield Mutation("open.time", "open.time", later)
    yield Mutation("open: one deleted", "open.row", gone)
    yield Mutation("open: all deleted", "open.row", lambda live: delete(live, [name_of(live, b"open")]))
    yield Mutation("open: of nobody", "open.nobody", nobody)
    yield Mutation("open: of a session that ended", "open.ended", ended)


def _somebody(live: Live) -> bytes:
    member: bytes = live.client.zrange(name_of(live, b"open").decode(), 0, 0)[0]  # type: ignore[index]
    return member


# ---- the partition's own rows


def _of_partition() -> Iterator[Mutation]:
    def deleted(rest: bytes) -> Callable[[Live], None]:
        return lambda live: delete(live, [name_of(live, rest)])

    for name in Progress._fields:
        named = _NAMED.get(f"progress.{name}", f"progress.{name}")
        yield Mutation(f"progress.{name} + 1", named, _progress(name, 1))
    yield Mutation("progress.watermark - 1", "progress.watermark", _progress("watermark", -1))
    yield Mutation("progress: not three numbers", "progress.row", setting(b"progress", b"1 x 3"))
    yield Mutation(
        "progress: deleted", "state.nobody", lambda live: delete(live, [name_of(live, b"progress")])
    )
    for name in Tagged._fields:
        yield Mutation(f"codebook.{name}", f"codebook.{name}", _tagged(name))
    yield Mutation("codebook: damaged", "codebook.version", setting(b"codebook", b"\xff"))
    yield Mutation(
        "codebook: deleted", "codebook.row", lambda live: delete(live, [name_of(live, b"codebook")])
    )
    yield Mutation(
        "persona-writes: another number", "persona-writes.count", setting(b"persona-writes", b"41")
    )
    yield Mutation("persona-writes: no number", "persona-writes.count", setting(b"persona-writes", b"-1"))
    yield Mutation("a key that nobody knows", "key.notes", setting(b"notes:acme|b1", b"x"))
    yield Mutation("a window of no time", "key.window", setting(b"window:300000:7", b"x"))


def _progress(name: str, step: int) -> Callable[[Live], None]:
    def damage(live: Live) -> None:
        key = name_of(live, b"progress")
        progress = Progress.from_bytes(get(live, key))
        live.client.set(key, progress._replace(**{name: getattr(progress, name) + step}).to_bytes())

    return damage


def _tagged(name: str) -> Callable[[Live], None]:
    def damage(live: Live) -> None:
        key = name_of(live, b"codebook")
        tagged = Tagged.from_bytes(get(live, key))
        live.client.set(key, tagged._replace(**{name: another(getattr(tagged, name), name)}).to_bytes())

    return damage


# ---- calibrations


def _of_calibrations() -> Iterator[Mutation]:
    for name in Calibration.__struct_fields__:
        yield Mutation(f"calibrations.{name}", "calibration.record", _calibration(name))
    yield Mutation("calibrations: damaged", "calibration.record", _calibration_set(lambda _raw: b"{"))
    yield Mutation("calibrations: deleted", "calibration.missing", _calibration_moved(None))
    yield Mutation("calibrations: at another offset", "calibration.extra", _calibration_moved(b"3"))
    yield Mutation("calibrations: at no offset", "calibration.unreadable", _calibration_moved(b"ten"))


def _calibration(name: str) -> Callable[[Live], None]:
    def change(raw: bytes) -> bytes:
        known = decode_calibration(raw)
        value = getattr(known, name)
        new = {} if isinstance(value, dict) else None if isinstance(value, Curve) else another(value, name)
        return encode_calibration(msgspec.structs.replace(known, **{name: new}))

    return _calibration_set(change)


def _calibration_set(change: Callable[[bytes], bytes]) -> Callable[[Live], None]:
    def damage(live: Live) -> None:
        key = name_of(live, b"calibrations").decode()
        ((field, raw),) = live.client.hgetall(key).items()  # type: ignore[union-attr]
        live.client.hset(key, field, change(raw))  # type: ignore[arg-type]

    return damage


def _calibration_moved(to: bytes | None) -> Callable[[Live], None]:
    def damage(live: Live) -> None:
        key = name_of(live, b"calibrations").decode()
        ((field, raw),) = live.client.hgetall(key).items()  # type: ignore[union-attr]
        if to is None:
            live.client.hdel(key, field)  # type: ignore[arg-type]
        else:
            live.client.hset(key, to, raw)  # type: ignore[arg-type]

    return damage
