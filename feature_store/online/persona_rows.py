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

# KEYS: the fence, then the rows. ARGV: what the fence must read, what marks a row of the same codebook
# version, then the new rows.
_SCRIPT: Final = """
if redis.call('GETRANGE', KEYS[1], 0, -1) ~= ARGV[1] then return 0 end
for i = 2, #KEYS do
  local old, new = redis.call('GET', KEYS[i]), ARGV[i + 1]
  local newer = old and string.sub(old, 1, 20) > string.sub(new, 1, 20)
  if not (newer and string.find(old, ARGV[2], 21, true)) then redis.call('SET', KEYS[i], new) end
end
return 1
"""
_SHA: Final = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

Persona = tuple[bytes, int, bytes]
"""(key, offset, JSON of the assignment)."""


def write(
    client: redis.Redis,
    key_of: Callable[[int, str], bytes],
    personas: Mapping[int, Sequence[Persona]],
    same_version: bytes,
    fences: Mapping[int, bytes],
) -> bool:
    """Write personas by partition; False if one of the partitions no longer reads its fence.

    key_of: (partition, rest of the name) -> key. fences: partition -> what its progress row must read.
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
    fences: Mapping[int, bytes],
) -> bool:
    with client.pipeline(transaction=False) as pipe:
        for partition, said in personas.items():
            prefix, fence = key_of(partition, "persona:"), key_of(partition, "progress")
            for at in range(0, len(said), _A_CALL):
                chunk = said[at : at + _A_CALL]
                keys = [fence, *(prefix + key for key, _, _ in chunk)]
                rows = [b"%0*d" % (OFFSET_DIGITS, offset) + body for _, offset, body in chunk]
                pipe.evalsha(_SHA, len(keys), *keys, fences[partition], same_version, *rows)
        return all(pipe.execute())
