"""The readers of loose values. They take notes, so that what was repaired or emptied is always reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from feature_store.contract.events import MAX_MONEY
from feature_store.errors import SkippedItemError
from feature_store.sources.skips import SkipReason, invalid
from feature_store.sources.values.amounts import read_amount
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.currencies import read_currency
from feature_store.sources.values.ids import MAX_ID, PLACEHOLDERS, IdFound, read_id
from feature_store.sources.values.notes import Field, Note, NoteKind, Reason, redacted
from feature_store.sources.values.texts import read_category, read_text
from feature_store.sources.values.times import is_missing_time, read_time
from feature_store.sources.values.units import TimeUnit

Fields: TypeAlias = dict[str, Any]
"""Contract fields of an event in the making; None where unknown."""
T = TypeVar("T")

_NOTED_MS: Final = 60_000
_MOST_QUANTITY: Final = 1_000_000
_MOST_TEXT: Final = {"brand": 256, "query": 512, "category": 512}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a cart or an order; Reader.cart makes fields of an event of it.

    worth: price times quantity, None where the price is unknown. exact: whether price and (whole) quantity
    of the fields give the same. notes: of this line's values.
    """

    fields: Fields
    worth: float | None
    exact: bool
    notes: list[Note]


class Reader:
    """Reads the values of one payload and notes what it did to them.

    Optional fields never raise: what cannot be read is emptied. Of several candidates, the first that can
    be read is taken, and there is a note only if none of them can.
    """

    __slots__ = ("context", "notes")

    def __init__(self, context: Context = NO_CONTEXT) -> None:
        self.context = context
        self.notes: list[Note] = []

    def repaired(self, field: Field, reason: Reason, value: Any) -> None:
        """Note that a value was taken otherwise than it was sent."""
        self._note("repaired", field, reason, value)

    def emptied(self, field: Field, reason: Reason, value: Any) -> None:
        """Note that a value was left out."""
        self._note("emptied", field, reason, value)

    def assumed(self, field: Field, reason: Reason, value: Any, taken_as: str = "") -> None:
        """Note that a payload left open what was decided for it; taken_as: a zone or unit, for the form."""
        form = " as ".join(filter(None, (redacted(value), taken_as)))
        self.notes.append(Note("assumed", field, reason, form))

    def amount(self, field: Field, value: Any, currency: str | None = None) -> float | None:
        """An amount of money in major units, 0 to 1e15; currency: its own, if known."""
        return self._money(field, value, currency)[0]

    def quantity(self, value: Any) -> int | None:
        """A number of pieces, 1 to 1,000,000; of a weight, the nearest such number."""
        return self._pieces(value)[0]

    def currency(self, *candidates: Any) -> str | None:
        """An ISO 4217 code, in upper case."""
        return self._first("currency", candidates, read_currency)

    def text(self, field: Field, *candidates: Any) -> str | None:
        """Free text without blanks around it, cut at the limit of its field."""
        most = _MOST_TEXT[field]
        return self._first(field, candidates, lambda value: read_text(value, most))

    def category(self, *candidates: Any, separator: str | None = None) -> str | None:
        """A category path by "/"; separator: what stands between its parts in a text."""
        most = _MOST_TEXT["category"]
        return self._first("category", candidates, lambda value: read_category(value, most, separator))

    def identifier(self, field: Field, *candidates: Any) -> str | None:
        """An id as it was sent, at most 256 characters."""
        return self._first(field, candidates, _id_of_contract)

    def buyer(self, candidates: Mapping[str, Any]) -> str:
        """The shop's own id of the buyer, the first that can be read; candidates: by their names there.

        Raises:
            SkippedItemError: no_buyer_id, or invalid if what is there is no id.
        """
        wrong = None
        for name, value in candidates.items():
            found = read_id(value)
            if found.id is not None:
                return found.id
            if found.reason not in (None, Reason.PLACEHOLDER):
                wrong = wrong or name
        if wrong is not None:
            raise invalid(f"{wrong}, the id of the buyer, is neither text nor a whole number")
        names = " or ".join(candidates)
        raise SkippedItemError(SkipReason.NO_BUYER_ID, f"there is no buyer id in {names}")

    def time(self, name: str, value: Any, unit: TimeUnit = "iso8601", *, or_now: bool = False) -> int:
        """Event time in ms since the epoch, UTC; see read_time. name: of the field or column.

        or_now: the vendor's payloads may leave the time out, which means the time of receipt.

        Raises:
            SkippedItemError: bad_timestamp.
        """
        if or_now and self.context.received_ms is not None and is_missing_time(value):
            self.assumed("timestamp", Reason.RECEIVED, None)
            return self.context.received_ms
        found = read_time(name, value, unit, self.context)
        if found.assumed is not None:
            self.assumed("timestamp", found.assumed, value, found.taken_as)
        return found.ms

    def device_time(self, name: str, value: Any, *, sent_at: Any, received_at: Any = None) -> int:
        """The time of a device whose clock may be wrong: received - (sent - value), as Segment has it.

        sent_at: what the same clock showed when the payload left; received_at: the server's time of receipt,
        None: as the context has it. Where one is not known, the time stays as it is. An event is never later
        than its receipt. A move of more than a minute is noted.

        Raises:
            SkippedItemError: bad_timestamp.
        """
        received = self._maybe_time(received_at) or self.context.received_ms
        if received is not None and is_missing_time(value):
            self.assumed("timestamp", Reason.RECEIVED, None)
            return received
        shown, sent = self.time(name, value), self._maybe_time(sent_at)
        if received is None or sent is None:
            return shown
        right = received - max(sent - shown, 0)
        if abs(right - shown) > _NOTED_MS:
            self.assumed("timestamp", Reason.CLOCK, value)
        return max(right, 1)

    def _maybe_time(self, value: Any) -> int | None:
        try:
            return None if value is None else read_time("", value, "iso8601", self.context).ms
        except SkippedItemError:
            return None

    def line(
        self, *, product_id: Any, category: Any, brand: Any, price: Any, currency_code: Any, quantity: Any
    ) -> Line:
        """Read one line of a cart or an order. A tuple holds candidates, the best first."""
        mark = len(self.notes)
        code = self.currency(*_candidates(currency_code))
        unit_price, beside = self._money("price", price, code)
        count, exact_count = self._pieces(quantity)
        fields: Fields = {
            "product_id": self.identifier("product_id", *_candidates(product_id)),
            "category": self.category(*_candidates(category)),
            "brand": self.text("brand", *_candidates(brand)),
            "price": unit_price,
            "currency": code or beside,
            "quantity": count,
        }
        notes = self.notes[mark:]
        del self.notes[mark:]
        worth = None if unit_price is None else unit_price * exact_count
        return Line(fields, worth, exact_count == (count or 1), notes)

    def cart(self, lines: Sequence[Line], *, value: Any = None, currency_code: Any = None) -> Fields:
        """The fields of an event about these lines (one, for a single product) and of its total.

        An event has one product: the line worth most (the first of equals). It has one currency: that of the
        total, else of the first line that has one; the price of a line in another currency is left out. A
        total that is not known is the sum of the lines, if there are several and all prices are known.
        value, currency_code: a tuple holds candidates, the best first.
        """
        code = self.currency(*_candidates(currency_code))
        total, beside = self._total(value, code)
        code = code or beside or next((c for one in lines if (c := one.fields["currency"]) is not None), None)
        if not lines:
            return {"value": total, "currency": code}
        fitting = [one for one in lines if one.fields["currency"] in (None, code)]
        best = max(fitting or lines, key=lambda one: -1.0 if one.worth is None else one.worth)
        self.notes += best.notes
        fields = {**best.fields, "value": total, "currency": code}
        if not fitting and fields["price"] is not None:
            self.emptied("price", Reason.OTHER_CURRENCY, fields["price"])
            fields["price"] = None
        if total is None and len(fitting) == len(lines) and (len(lines) > 1 or not best.exact):
            fields["value"] = self._sum(lines)
        return fields

    def _total(self, value: Any, code: str | None) -> tuple[float | None, str | None]:
        mark = len(self.notes)
        for one in _candidates(value):
            before = len(self.notes)
            found = self._money("value", one, code)
            if found[0] is not None:
                del self.notes[mark:before]  # the candidates before it were not needed
                return found
        del self.notes[mark + 1 :]
        return None, None

    def _sum(self, lines: Iterable[Line]) -> float | None:
        worths = [one.worth for one in lines]
        known = [worth for worth in worths if worth is not None]
        total = round(sum(known), 6)  # without what binary fractions add
        if len(known) < len(worths) or not 0 <= total <= MAX_MONEY:
            return None
        self.assumed("value", Reason.SUM_OF_LINES, total)
        return total

    def _money(self, field: Field, value: Any, currency: str | None) -> tuple[float | None, str | None]:
        """(the amount, the currency that stood beside it)."""
        if value is None or (type(value) is float and 0 <= value <= MAX_MONEY):
            return value, None
        found = read_amount(value, self.context.decimal, currency)
        if found.amount is not None and found.amount < 0:
            self.emptied(field, Reason.NEGATIVE, value)
            return None, None
        return self._kept(field, found.amount, found.reason, value), found.currency

    def _pieces(self, value: Any) -> tuple[int | None, float]:
        """(the number of pieces, the exact number: 1 where it is unknown)."""
        if type(value) is int and 1 <= value <= _MOST_QUANTITY:
            return value, value
        if value is None:
            return None, 1
        found = read_amount(value, self.context.decimal, None)
        count, reason = found.amount, found.reason
        if count is None:
            return self._kept("quantity", None, reason, value), 1
        if not 0 < count <= _MOST_QUANTITY:
            wrong = Reason.ZERO if count == 0 else Reason.NEGATIVE if count < 0 else Reason.TOO_LARGE
            self.emptied("quantity", wrong, value)
            return None, 1
        reason = reason if count.is_integer() else Reason.BY_WEIGHT
        return self._kept("quantity", max(1, round(count)), reason, value), count

    def _first(
        self,
        field: Field,
        candidates: Iterable[Any],
        read: Callable[[Any], tuple[T | None, Reason | None]],
    ) -> T | None:
        problem: tuple[Reason, Any] | None = None
        for value in candidates:
            if value is None:
                continue
            found, reason = read(value)
            if found is not None:
                return self._kept(field, found, reason, value)
            if problem is None and reason is not None:
                problem = reason, value
        if problem is not None:
            self.emptied(field, *problem)
        return None

    def _kept(self, field: Field, found: T | None, reason: Reason | None, value: Any) -> T | None:
        if reason is not None:
            self._note("emptied" if found is None else "repaired", field, reason, value)
        return found

    def _note(self, kind: NoteKind, field: Field, reason: Reason, value: Any) -> None:
        word = isinstance(value, str) and len(value) <= _LONGEST and value.strip().lower() in PLACEHOLDERS
        self.notes.append(Note(kind, field, reason, value if word else redacted(value)))


_LONGEST: Final = 40


def _candidates(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _id_of_contract(value: Any) -> IdFound:
    found = read_id(value)
    if found.id is not None and len(found.id) > MAX_ID:
        return IdFound(None, Reason.TOO_LONG)
    return found
