"""Writing persona rows: readable at once, and only by who owns the partition.

They change between checkpoints, in a script that first looks at the fence: one call for many rows, and
no worker that lost the partition writes any, not even one of a buyer who was erased meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import redis
from redis.exceptions import NoScriptError

OFFSET_DIGITS: Final = 20
"""A row begins with its offset in so many digits, so that Lua compares strings; JSON follows."""
_A_CALL: Final = 1_000  # Lua runs alone in the server: keep a call under a few ms

# KEYS: the fence, the count of writes, then the rows. ARGV: what both must read, what marks a row of the same
# codebook version, then the new rows.
_SCRIPT: Final = """
if redis.call('GETRANGE', KEYS[1], 0, -1) ~= ARGV[1] then return 0 end
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[2] then return 0 end
for i = 3, #KEYS do
  local old, new = redis.call('GET', KEYS[i]), ARGV[i + 1]
  local newer = old and string.sub(old, 1, 20) > string.sub(new, 1, 20)
  if not (newer and string.find(old, ARGV[3], 21, true)) then redis.call('SET', KEYS[i], new) end
end
return redis.call('INCR', KEYS[2])
"""
_SHA: Final = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

Fence = tuple[bytes, int]
"""(what the partition's progress row must read, how often its persona rows must have been written)."""
Persona = tuple[bytes, int, bytes]
"""(key, offset, JSON of the assignment)."""


def write(
    client: redis.Redis,
    key_of: Callable[[int, str], bytes],
    personas: Mapping[int, Sequence[Persona]],
    same_version: bytes,
    fences: Mapping[int, Fence],
) -> dict[int, int]:
    """Write personas by partition. Returns partition -> how often persona rows were written there by now, 0
    where the partition no longer reads its fence and nothing was written.

    key_of: (partition, rest of the name) -> key.
    """
    try:
        return _write(client, key_of, personas, same_version, fences)
    except NoScriptError:  # the server was restarted, or this is its first script
        client.script_load(_SCRIPT)
        return _write(client, key_of, personas, same_version, fences)


def _write(
    client: redis.Redis,
    key_of: Callable[[int, str], bytes],
    personas: Mapping[int, Sequence[Persona]],
    same_version: bytes,
    fences: Mapping[int, Fence],
) -> dict[int, int]:
    asked: list[int] = []
    with client.pipeline(transaction=False) as pipe:
        for partition, said in personas.items():
            prefix = key_of(partition, "persona:")
            places = key_of(partition, "progress"), key_of(partition, "persona-writes")
            progress, writes = fences[partition]
            for call, at in enumerate(range(0, len(said), _A_CALL)):
                chunk = said[at : at + _A_CALL]
                keys = [*places, *(prefix + key for key, _, _ in chunk)]
                rows = [b"%0*d" % (OFFSET_DIGITS, offset) + body for _, offset, body in chunk]
                pipe.evalsha(_SHA, len(keys), *keys, progress, writes + call, same_version, *rows)
                asked.append(partition)
        answers = pipe.execute()
    # Of several calls for a partition the last answer counts, or the refusal.
    refused = {partition for partition, answer in zip(asked, answers, strict=True) if not answer}
    return dict(zip(asked, map(int, answers), strict=True)) | dict.fromkeys(refused, 0)
