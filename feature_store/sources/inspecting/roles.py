"""Which field of the records is what: by its name and, above all, by its values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from feature_store.sources.inspecting import words
from feature_store.sources.inspecting.profile import Field, Profile
from feature_store.sources.inspecting.values import (
    is_address,
    is_amount,
    is_currency,
    is_id,
    is_quantity,
    is_text,
    is_time,
    is_user_agent,
)

_FITS: Final = 0.6
"""The part of a field's values that must look like the role."""
_NEARLY_ALL: Final = 0.98
_LONGEST_NAME: Final = 60

Fits = Callable[[Any], bool]


class LineRoles(NamedTuple):
    """A list of an order's lines, and the fields of one line."""

    at: str
    product_id: list[Field]
    category: list[Field]
    brand: list[Field]
    price: list[Field]
    currency: list[Field]
    quantity: list[Field]


class Roles(NamedTuple):
    """Fields by role, the surest first; each: path of the list of which every item is an event."""

    each: str | None
    time: list[Field]
    anonymous_id: list[Field]
    user_id: list[Field]
    session: list[Field]
    event: list[Field]
    event_id: list[Field]
    order: list[Field]
    user_agent: list[Field]
    address: list[Field]
    product_id: list[Field]
    category: list[Field]
    brand: list[Field]
    price: list[Field]
    value: list[Field]
    currency: list[Field]
    quantity: list[Field]
    query: list[Field]
    lines: LineRoles | None


def find_roles(records: Sequence[Any]) -> Roles:
    """Look at records, and say what their fields are."""
    top = Profile(records)
    fields, lists, each = list(top.fields.values()), top.lists, None
    if not _events(fields, inside_lists=False):
        found = [
            (_known(_events(profile.fields.values(), inside_lists=False)), path)
            for path, profile in lists.items()
        ]
        best, path = max(found, default=(0.0, ""))
        if best:
            inner, each = lists[path], path
            fields = [
                *inner.fields.values(),
                *(_outer(field) for field in fields if not _is_under(field.path, path)),
            ]
            lists = inner.lists
    lines = _lines(lists)
    if lines is not None:
        fields = [field for field in fields if not _is_under(field.path, lines.at)]
    return _roles(fields, each, lines)


def _roles(fields: list[Field], each: str | None, lines: LineRoles | None) -> Roles:
    event = _events(fields, inside_lists=True)
    left = [field for field in fields if field not in event]
    order = pick(left, words.ORDER, is_id)
    product_id = pick(left, words.PRODUCT, is_id)
    taken = {field.path for field in [*order, *product_id]}
    return Roles(
        each=each,
        time=_times(left),
        anonymous_id=pick(left, words.ANONYMOUS, is_id),
        user_id=pick(left, words.USER, is_id),
        session=pick(left, words.SESSION, is_id),
        event=event,
        event_id=[
            field
            for field in pick(left, words.EVENT_ID, is_id)
            if field.path not in taken and _is_distinct(field) and (field.name != "id" or field.depth == 1)
        ],
        order=order,
        user_agent=pick(left, words.USER_AGENT, is_user_agent),
        address=pick(left, words.ADDRESS, is_address),
        product_id=product_id,
        category=pick(left, words.CATEGORY, is_text),
        brand=pick(left, words.BRAND, is_text),
        price=pick(left, words.PRICE, is_amount),
        value=pick(left, words.VALUE, is_amount),
        currency=pick(left, words.CURRENCY, is_currency),
        quantity=pick(left, words.QUANTITY, is_quantity),
        query=pick(left, words.QUERY, is_text),
        lines=lines,
    )


def pick(fields: Iterable[Field], names: Sequence[str], fits: Fits) -> list[Field]:
    """The fields with one of these names whose values fit: the surest name first, then the shortest path."""
    found = []
    for field in fields:
        rank = _rank(field, names)
        if rank is not None and field.values and field.share(fits) >= _FITS:
            found.append((rank, field.depth, -field.filled, field.path, field))
    return [field for *_, field in sorted(found, key=lambda one: one[:4])]


def _rank(field: Field, names: Sequence[str]) -> int | None:
    for rank, name in enumerate(names):
        if field.name == name or (" " in name and f" {field.long_name}".endswith(f" {name}")):
            return rank
    return None


def _times(fields: list[Field]) -> list[Field]:
    named = pick(fields, words.TIME, is_time)
    if named:
        return named
    return [
        field
        for field in fields
        if field.values
        and field.share(is_time) >= _NEARLY_ALL
        and not words.NOT_A_TIME.search(field.long_name)
    ]


def _events(fields: Iterable[Field], *, inside_lists: bool) -> list[Field]:
    """Fields that name events of ours: those by which most records are known first."""
    found = []
    for field in fields:
        if not inside_lists and any(key.isdecimal() for key in field.keys):
            continue
        rank = _rank(field, words.EVENT)
        known = _known([field])
        if known and rank is not None:
            found.append((-round(known, 2), rank, field.depth, field))
    return [field for *_, field in sorted(found, key=lambda one: one[:3])]


def _known(fields: Sequence[Field]) -> float:
    """How many of the first field's values name events of ours."""
    if not fields:
        return 0.0
    counts = fields[0].counts()
    return sum(
        count
        for name, count in counts.items()
        if len(name) <= _LONGEST_NAME and "/" not in name and words.meaning(name) is not None
    )


def _is_distinct(field: Field) -> bool:
    counts = field.counts()
    return len(counts) >= _NEARLY_ALL * len(field.values) or (field.name not in {"id", "uuid"})


def _lines(lists: dict[str, Profile]) -> LineRoles | None:
    """The list whose items look most like lines of an order."""
    best: tuple[int, LineRoles] | None = None
    for path, profile in lists.items():
        fields = list(profile.fields.values())
        found = LineRoles(
            at=path,
            product_id=pick(fields, words.PRODUCT_IN_LINE, is_id),
            category=pick(fields, words.CATEGORY, is_text),
            brand=pick(fields, words.BRAND, is_text),
            price=pick(fields, words.PRICE, is_amount),
            currency=pick(fields, words.CURRENCY, is_currency),
            quantity=pick(fields, words.QUANTITY, is_quantity),
        )
        if found.product_id and (found.price or found.quantity):
            score = sum(map(bool, found[1:])) * len(profile.records)
            if best is None or score > best[0]:
                best = score, found
    return None if best is None else best[1]


def _outer(field: Field) -> Field:
    """A field of the record around an item, as the item sees it."""
    seen = Field(f"^.{field.path}", field.keys)
    seen.values, seen.filled = field.values, field.filled
    return seen


def _is_under(path: str, parent: str) -> bool:
    return path.startswith(f"{parent}.")
