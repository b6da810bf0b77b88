"""What the generator itself would say of a buyer's latent type: the likelihood of the events, by type.

Used: the store's mix of types, each session's first event, the moves of its Markov chain, the time between
two events, how many sessions there were and, where the history is over, that they ended. Moves that a cart
forbids become views, as in sessions.py; moves through events that the pixel does not send are summed over.
Left out: which products were opened and what they cost, that time passes in events which are not sent, and
which sessions of a wide shop are express. So it comes near the Bayes posterior, from below.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from feature_store.contract.events import EVENT_TYPES, TYPE_CODE, Event
from feature_store.history.offline_fold import BuyerKey
from ops.traffic.buyer_types import (
    BUYER_TYPES,
    EXIT,
    TYPE_NAMES,
    comes_back,
    start_distribution,
    transition_matrix,
)
from ops.traffic.catalogue import catalogue_of
from ops.traffic.config import StoreProfile, TrafficConfig
from ops.traffic.generator import truth
from ops.traffic.sessions import MAX_CART

Floats = npt.NDArray[np.float64]
Context = tuple[bool, int, bool]
"""Inside a session: something was viewed; goods in the cart; a checkout was begun."""

_VIEW: Final = TYPE_CODE["product_view"]
_ADD: Final = TYPE_CODE["add_to_cart"]
_REMOVE: Final = TYPE_CODE["remove_from_cart"]
_CHECKOUT: Final = TYPE_CODE["begin_checkout"]
_PAY: Final = TYPE_CODE["add_payment_info"]
_BUY: Final = TYPE_CODE["purchase"]
_TINY: Final = 1e-12
_WHOLE: Final = 0


def true_types(config: TrafficConfig, seed: int) -> dict[BuyerKey, int]:
    """The latent type of every buyer, an index into TYPE_NAMES."""
    known = {name: i for i, name in enumerate(TYPE_NAMES)}
    return {
        (store, buyer): known[kind]
        for columns in truth(config, seed)
        for store, buyer, kind in zip(*columns, strict=True)
    }


def posterior(
    config: TrafficConfig, seed: int, batches: Iterable[Sequence[Event]], landmarks: Sequence[int]
) -> dict[int, dict[BuyerKey, int]]:
    """The likeliest type of each buyer after so many events, of those who came so far; under 0 at the end."""
    histories: dict[BuyerKey, dict[str, Event]] = defaultdict(dict)
    for batch in batches:
        for event in batch:
            histories[event.store, event.buyer].setdefault(event.event_id, event)
    catalogue = catalogue_of(config, seed)
    stores = {
        name: _Store(profile, config.noise)
        for name, profile in zip(catalogue.store_names, catalogue.profiles, strict=True)
    }
    best: dict[int, dict[BuyerKey, int]] = {events: {} for events in (*landmarks, _WHOLE)}
    for key, accepted in histories.items():
        events = list(accepted.values())
        for count, types in best.items():
            if count == _WHOLE or len(events) >= count:
                seen = events if count == _WHOLE else events[:count]
                log_likelihood = stores[key[0]].log_likelihood(seen, over=count == _WHOLE)
                types[key] = int(log_likelihood.argmax())
    return best


class _Store:
    """The chains of one store, as its pixel shows them."""

    def __init__(self, profile: StoreProfile, noise: float) -> None:
        self._moves = transition_matrix(noise, profile.persistence, profile.habits)
        self._sent = np.array([name in profile.event_types for name in EVENT_TYPES])
        start = start_distribution(profile.habits)[:, :EXIT].copy()
        start[:, _VIEW] += (start * ~self._sent).sum(axis=1)
        self._log_start = np.log(np.maximum(start, _TINY))
        self._log_mix = np.log(np.maximum(profile.type_mix, _TINY))
        self._log_dwell = np.log([1000 * kind.dwell_seconds for kind in BUYER_TYPES]) + np.log(profile.pace)
        self._spread = np.array([kind.dwell_spread for kind in BUYER_TYPES])
        self._comes_back = comes_back(profile.comes_back)
        self._seen: dict[Context, Floats] = {}

    def log_likelihood(self, events: list[Event], *, over: bool) -> Floats:
        """Log of prior times likelihood, float64 [types]; over: nothing follows."""
        total = self._log_mix.copy()
        sessions = list(_sessions(events))
        for number, session in enumerate(sessions):
            total += self._session(session, ended=over or number < len(sessions) - 1)
        total += (len(sessions) - 1) * np.log(self._comes_back)
        if over:
            total += np.log1p(-self._comes_back)
        return total

    def _session(self, session: list[Event], *, ended: bool) -> Floats:
        codes = [TYPE_CODE[event.type] for event in session]
        total = self._log_start[:, codes[0]].copy()
        context = _follow((False, 0, False), codes[0])
        for before, after, earlier, later in zip(codes, codes[1:], session, session[1:], strict=False):
            total += self._log_moves(context)[:, before, after]
            log_gap = np.log(max(later.timestamp - earlier.timestamp, 1))
            total += -0.5 * ((log_gap - self._log_dwell) / self._spread) ** 2 - np.log(self._spread)
            context = _follow(context, after)
        if ended:
            total += self._log_moves(context)[:, codes[-1], EXIT]
        return total

    def _log_moves(self, context: Context) -> Floats:
        """Log probability of the next event that is sent, float64 [types, from, to or exit]."""
        context = (context[0], min(context[1], MAX_CART), context[2])
        if context not in self._seen:
            moves = self._moves.copy()
            for state in _forbidden(context):
                moves[:, :, _VIEW] += moves[:, :, state]
                moves[:, :, state] = 0.0
            self._seen[context] = np.log(np.maximum(_through_unsent(moves, self._sent), _TINY))
        return self._seen[context]


def _through_unsent(moves: Floats, sent: npt.NDArray[np.bool_]) -> Floats:
    """Moves between sent events with any number of others in between: T_so + T_su (1 - T_uu)^-1 T_uo."""
    unsent = np.flatnonzero(~sent)
    inside = moves[:, unsent][:, :, unsent]
    visits = moves[:, :, unsent] @ np.linalg.inv(np.eye(len(unsent)) - inside)
    return np.asarray(moves + visits @ moves[:, unsent])


def _forbidden(context: Context) -> list[int]:
    """The moves that sessions.py turns into views."""
    viewed, goods, checkout = context
    return [
        *([] if viewed else [_ADD]),
        *([_REMOVE, _CHECKOUT] if goods == 0 else []),
        *([_ADD] if goods == MAX_CART and viewed else []),
        *([] if checkout else [_PAY, _BUY]),
    ]


def _follow(context: Context, code: int) -> Context:
    viewed, goods, checkout = context
    if code == _BUY:
        return viewed, 0, False
    goods += (code == _ADD) - (code == _REMOVE and goods > 0)
    return (
        viewed or code == _VIEW,
        goods,
        (checkout or code in (_CHECKOUT, _PAY)) and not (code == _REMOVE and goods == 0),
    )


def _sessions(events: list[Event]) -> Iterator[list[Event]]:
    """The events of each session in the order of time, the sessions in theirs."""
    sessions: dict[str | None, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.timestamp):
        sessions[event.session_id].append(event)
    yield from sessions.values()
