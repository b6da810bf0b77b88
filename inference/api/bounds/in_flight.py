"""What the requests under way hold of this process: so many of a store, and so many bytes of their bodies."""

from __future__ import annotations

from collections import Counter

from inference.api.problems import ProblemError


class InFlight:
    """Counts of the requests under way, by store. Of the event loop's thread."""

    def __init__(self, requests: int, body_bytes: int) -> None:
        self._most_requests, self._most_bytes = requests, body_bytes
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def enter(self, store: str) -> Share:
        """One more request of a store.

        Raises:
            ProblemError: 429, the store has enough of them.
        """
        if self._requests[store] >= self._most_requests:
            raise _full("requests under way")
        self._requests[store] += 1
        return Share(self, store)

    def hold(self, store: str, count: int) -> None:
        """So many bytes of a body more.

        Raises:
            ProblemError: 429, the store's bodies hold enough memory.
        """
        if self._bytes[store] + count > self._most_bytes:
            raise _full("bodies under way")
        self._bytes[store] += count

    def leave(self, store: str, held: int) -> None:
        """A request of the store ended."""
        self._requests[store] -= 1
        self._bytes[store] -= held
        if not self._requests[store]:  # no bytes without a request
            del self._requests[store], self._bytes[store]


class Share:
    """What one request holds."""

    def __init__(self, counted: InFlight, store: str) -> None:
        self._counted, self._store = counted, store
        self._held, self._ended = 0, False

    def hold(self, count: int) -> None:
        """So many bytes of its body more.

        Raises:
            ProblemError: 429, the store's bodies hold enough memory.
        """
        self._counted.hold(self._store, count)
        self._held += count

    def leave(self) -> None:
        """The request ended; a second time changes nothing."""
        if not self._ended:
            self._ended = True
            self._counted.leave(self._store, self._held)


def _full(what: str) -> ProblemError:
    return ProblemError(429, "too-many-at-once", f"this store has enough {what} here; wait", retry_after_s=1)
