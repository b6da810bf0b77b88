"""Why: what carries an assignment, what would have given another type, and the shopper beside others.

Everything is made by the fold and the encoder that assigned it (docs/adr/0063): no model of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from feature_store.contract.events import EVENT_TYPES
from feature_store.fold.vector import N_SCALARS, SCALARS
from inference.bundles.catalogue import Catalogue
from inference.encoders.encoder import Encoder, Encoding
from ops.errors import PastError
from ops.past.as_of import AsOf, FoldedEvent, Looker, Past, event_of
from ops.past.carried import Effect, History, effects, forecast_change, strongest
from ops.past.nearest import Change, nearest_change
from ops.past.replay import Placed, type_name

_MOST_NAMED: Final = 5
_MOST_BLOCKS: Final = 3
_SEEN: Final = 0.005
"""A change of the forecast below half a percent is none to a reader."""

CatalogueOf = Callable[[str], Catalogue | None]
"""A codebook version -> its catalogue; None where its bundle is gone."""


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What is otherwise without some events. change: by how much the probability of one type at least would
    change in the forecast, 0 to 1. code, type, forecast: as they would be."""

    change: float
    code: int
    type: str | None
    forecast: str | None


class CarriedEvent(Carried, frozen=True, kw_only=True):
    """Without this one event."""

    event: FoldedEvent


class CarriedBlock(Carried, frozen=True, kw_only=True):
    """Without the events from the first to the last offset, so many."""

    first: int
    last: int
    events: int


class CarriedAct(Carried, frozen=True, kw_only=True):
    """Without all events of one type, so many."""

    act: str
    events: int


class Nearest(msgspec.Struct, frozen=True, kw_only=True):
    """`times` more of an act would give this type; folded and encoded to see. same_product: as the last."""

    act: str
    times: int
    same_product: bool
    type: str | None
    code: int


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a buyer has a persona. events: single ones that change the forecast most, the strongest first.
    looked_at: how many were left out one at a time; all where blocks is empty. acts: whole types of events.
    nearest is null where no act, up to three times, gives another type. in_words: the same for people."""

    as_of: AsOf
    events: list[CarriedEvent]
    looked_at: int
    blocks: list[CarriedBlock]
    acts: list[CarriedAct]
    nearest: Nearest | None
    in_words: list[str]


def why(looker: Looker, catalogue_of: CatalogueOf, past: Past) -> Why:
    """Why a buyer has the persona that held at a moment.

    Raises:
        PastError: their events are not all there, or the bundle is gone, or the events give another persona:
            nothing can be explained that cannot be made again.
    """
    as_of = looker.answer(past)
    encoder = looker.encoder_of(as_of.assignment.codebook_version)
    if as_of.replay.agrees is not True or encoder is None:
        raise PastError(f"this assignment cannot be explained: {as_of.replay.note}")
    explained = Explained(encoder, past.events, looker.allowed_lateness_ms)
    found = Why(
        as_of=as_of,
        events=explained.events(),
        looked_at=len(explained.singles),
        blocks=explained.blocks(),
        acts=explained.acts(),
        nearest=explained.nearest(),
        in_words=[],
    )
    catalogue = catalogue_of(as_of.assignment.codebook_version)
    return msgspec.structs.replace(found, in_words=_words(found, explained.scalars, catalogue))


class Explained:
    """One persona taken apart. placed: the events that it was made from, in the log's order."""

    def __init__(self, encoder: Encoder, placed: Sequence[Placed], allowed_lateness_ms: int) -> None:
        self._encoder, self._placed = encoder, placed
        self._events = [one.event for one in placed]
        self._history = History(self._events, allowed_lateness_ms)
        vector = self._history.with_more([[]])
        self.scalars = [float(value) for value in vector[0, :N_SCALARS]]
        self.whole: Encoding = encoder.encode(vector)
        self.singles, self._blocks = effects(self._history, encoder, self.whole)

    def events(self) -> list[CarriedEvent]:
        """The single events that carry most."""
        named = [one for one in strongest(self.singles, _MOST_NAMED) if self._matters(one)]
        return [CarriedEvent(**self._carried(one), event=event_of(self._placed[one.start])) for one in named]

    def blocks(self) -> list[CarriedBlock]:
        """The blocks of a long history that carry most."""
        return [
            CarriedBlock(
                **self._carried(one),
                first=self._placed[one.start].offset,
                last=self._placed[one.end - 1].offset,
                events=one.end - one.start,
            )
            for one in strongest(self._blocks, _MOST_BLOCKS)
            if self._matters(one)
        ]

    def acts(self) -> list[CarriedAct]:
        """What each type of event carries, the strongest first; one that is the whole history is left out."""
        kinds = np.array([event.type for event in self._events])
        names = [name for name in EVENT_TYPES if (kinds == name).any() and not (kinds == name).all()]
        if not names:
            return []
        other = self._encoder.encode(self._history.without_each([kinds == name for name in names]))
        change = forecast_change(self.whole, other)
        found = [
            CarriedAct(
                **self._carried(
                    Effect(0, 0, int(other.code[i]), int(other.type[i]), int(other.forecast[i]), change[i])
                ),
                act=name,
                events=int((kinds == name).sum()),
            )
            for i, name in enumerate(names)
        ]
        return sorted(found, key=lambda it: -it.change)

    def nearest(self) -> Nearest | None:
        """The nearest change that gives another type."""
        found: Change | None = nearest_change(self._events, self._history, self._encoder, self.whole)
        if found is None:
            return None
        return Nearest(
            act=found.act,
            times=found.times,
            same_product=found.is_same_product,
            type=type_name(self._encoder, found.type),
            code=found.code,
        )

    def _matters(self, one: Effect) -> bool:
        return one.change >= _SEEN or one.type != int(self.whole.type[0])

    def _carried(self, one: Effect) -> dict[str, Any]:
        names = type_name(self._encoder, one.type), type_name(self._encoder, one.forecast)
        return {
            "change": round(float(one.change), 6),
            "code": one.code,
            "type": names[0],
            "forecast": names[1],
        }


def _words(found: Why, scalars: Sequence[float], catalogue: Catalogue | None) -> list[str]:
    a = found.as_of.assignment
    lines = [f"{_counted(scalars)}."]
    kind = None if catalogue is None or a.type is None else _type_in(catalogue, a.type)
    if kind is not None:
        lines.append(f"Others of type {a.type}: {kind}.")
    card = None if catalogue is None else catalogue.card(a.code)
    if card is not None and card.typical is not None:
        buys = f"; {card.funnel['A'].share:.0%} buy" if "A" in card.funnel else ""
        lines.append(f"Others of code {a.code}: mostly {card.typical}{buys}.")
    lines += [_event_words(one, a.type) for one in found.events[:3]]
    if not found.events:
        lines.append("No single event carries it: without any one of them the persona is the same.")
    lines += [_act_words(one, a.type) for one in found.acts[:1] if one.change >= _SEEN or one.type != a.type]
    lines.append(_nearest_words(found.nearest))
    return lines


def _type_in(catalogue: Catalogue, name: str) -> str | None:
    return next((kind.rule for kind in catalogue.types if kind.name == name and kind.rule), None)


def _counted(scalars: Sequence[float]) -> str:
    """The scalars of a state that are not 0, in the words of the features."""
    named = zip(SCALARS, scalars, strict=True)
    shown = [f"{value:.4g} {scalar.name.replace('_', ' ')}" for scalar, value in named if value > 0]
    return "This shopper: " + ", ".join(shown)


def _event_words(one: CarriedEvent, type_: str | None) -> str:
    product = f" of {one.event.product_id}" if one.event.product_id else ""
    what = f"{one.event.type.replace('_', ' ')}{product} (offset {one.event.offset})"
    return f"Without the {what} {_otherwise(one, type_)}."


def _act_words(one: CarriedAct, type_: str | None) -> str:
    what = one.act.replace("_", " ")
    return f"Without {'its' if one.events == 1 else f'all {one.events}'} {what} {_otherwise(one, type_)}."


def _otherwise(one: Carried, type_: str | None) -> str:
    change = f"the forecast would change by {one.change:.1%} or more"
    return change if one.type == type_ else f"the type would be {one.type or 'none'}, and {change}"


def _nearest_words(nearest: Nearest | None) -> str:
    if nearest is None:
        return "No single kind of act, up to three times, would give another type."
    product = " of the same product" if nearest.same_product and nearest.act == "product_view" else ""
    act = nearest.act.replace("_", " ")
    return f"{nearest.times} more {act}{product} would give the type {nearest.type or 'none'}."


def report(looker: Looker, catalogue_of: CatalogueOf, past: Past) -> dict[str, Any]:
    """All that the log has of one buyer, for who asks what is kept of them: events, assignments, and why the
    last one is what it is (null where it cannot be explained)."""
    try:
        explained = msgspec.to_builtins(why(looker, catalogue_of, past))
    except PastError as error:
        explained = {"not_explained": str(error)}
    return {
        "store": past.statement.assignment.store,
        "buyer": past.statement.assignment.buyer,
        "events": [{"offset": one.offset, **msgspec.to_builtins(one.event)} for one in past.log.events],
        "assignments": [msgspec.to_builtins(one.assignment) for one in past.log.statements.kept],
        "why": explained,
    }
