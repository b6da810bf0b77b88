"""The rules of a mapping file, compiled: which records are an event of which type, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, get_args

from feature_store.contract.events import EventType
from feature_store.errors import AdapterError
from feature_store.sources.adapters.common import Json
from feature_store.sources.adapters.mapping.language import FieldName, Lines, MappingFile, Place, Rule
from feature_store.sources.adapters.mapping.paths import Path, Scope, parse_path
from feature_store.sources.adapters.mapping.patterns import Captured, Test, compile_condition, groups
from feature_store.sources.adapters.mapping.places import Spots, compile_place, within
from feature_store.sources.values.reader import Fields, Line, Reader

Candidates: TypeAlias = dict[FieldName, tuple[Json, ...]]
"""Contract field -> what may be its value, the best first."""

FIELDS: Final[frozenset[FieldName]] = frozenset(get_args(FieldName))
_PRODUCT: Final = FIELDS - {"query"}
_CARRIES: Final[dict[EventType, frozenset[FieldName]]] = {
    "page_view": frozenset(),
    "list_view": frozenset({"category"}),
    "search": frozenset({"query"}),
    "sign_up": frozenset(),
    "login": frozenset(),
}
"""Which of the whole file's fields an event of a type takes; other types take those of a product."""


class CompiledLines(NamedTuple):
    """Where an order's lines are, and the places within one."""

    at: list[Path]
    fields: dict[FieldName, Spots]

    def read(self, read: Reader, scope: Scope, currency: str | None) -> list[Line]:
        """The lines of the first list that is there. currency: of the whole event."""
        items = next((found for path in self.at if (found := scope.each(path))), [])
        return [_line(read, _candidates(self.fields, item), currency) for item in items]


class CompiledRule(NamedTuple):
    """One kind of event. shared: places of the whole file; own: the rule's, which come first."""

    type: EventType
    tests: list[tuple[str, Path, Test]]
    shared: dict[FieldName, Spots]
    own: dict[FieldName, Spots]
    lines: CompiledLines | None
    order: Spots | None
    line: Spots | None

    def match(self, scope: Scope, known: dict[str, Json]) -> Captured | None:
        """What the conditions captured; None: one of them does not hold.

        known: what is at paths, as they are written, that rules before this one have looked at.
        """
        captured: Captured = {}
        for written, path, test in self.tests:
            value = known[written] if written in known else known.setdefault(written, scope.at(path))
            found = test(value)
            if found is None:
                return None
            if found:
                captured.update(found)
        return captured

    def fields(self, read: Reader, scope: Scope, captured: Captured, currency: str | None) -> Fields:
        """The contract fields: the rule's own, else captured ones, else the file's, else the best line's.

        currency: of the shop, where nothing else says one.
        """
        given = _candidates(self.own, scope)
        for name in FIELDS & captured.keys() if captured else ():
            given[name] = (*given.get(name, ()), captured[name])
        for name, values in _candidates(self.shared, scope).items():
            given[name] = (*given.get(name, ()), *values)
        code = read.currency(*given.pop("currency", ()), currency)  # once, so that it is noted once
        if self.type in _CARRIES:
            return _read_alone(read, given, code)
        lines = [] if self.lines is None else self.lines.read(read, scope, code)
        if not lines:
            lines, given = (
                [_line(read, given, code)],
                {name: given[name] for name in _OF_EVENT & given.keys()},
            )
        fields = read.cart(lines, value=given.pop("value", None), currency_code=code)
        alone = _read_alone(read, given, fields["currency"])
        return fields | {name: value for name, value in alone.items() if value is not None}


_OF_EVENT: Final[frozenset[FieldName]] = frozenset({"value", "query"})
"""Fields that are no line's."""


def _candidates(places: Mapping[FieldName, Spots], scope: Scope) -> Candidates:
    return {name: spots.all(scope) for name, spots in places.items()}


def _line(read: Reader, given: Candidates, currency: str | None) -> Line:
    return read.line(
        product_id=given.get("product_id"),
        category=given.get("category"),
        brand=given.get("brand"),
        price=_first(given.get("price")),
        currency_code=(*given.get("currency", ()), currency),
        quantity=_first(given.get("quantity")),
    )


def _read_alone(read: Reader, given: Candidates, code: str | None) -> Fields:
    """Fields that stand for themselves: of an event without a product, or beside those of a line."""
    fields: Fields = {"currency": code}
    for name, values in given.items():
        if name == "product_id":
            fields[name] = read.identifier("product_id", *values)
        elif name == "category":
            fields[name] = read.category(*values)
        elif name == "quantity":
            fields[name] = read.quantity(_first(values))
        elif name in ("price", "value"):
            fields[name] = read.amount(name, _first(values), code)
        else:
            fields[name] = read.text(name, *values)
    return fields


def _first(values: tuple[Json, ...] | None) -> Json:
    for value in values or ():
        if value is not None and value != "":
            return value
    return None


class Shared(NamedTuple):
    """Places of the whole file, which every rule has that can use them."""

    fields: dict[FieldName, Spots]
    lines: CompiledLines | None
    order: Spots | None
    line: Spots | None


def compile_shared(file: MappingFile) -> Shared:
    """The places of the whole file.

    Raises:
        MappingError: what is wrong in one of them, and at which key.
    """
    return Shared(
        _compile_fields(file.fields),
        _compile_lines(file.lines),
        compile_optional("order", file.order),
        compile_optional("line", file.line),
    )


def compile_rules(rules: Sequence[Rule], shared: Shared) -> list[CompiledRule]:
    """The file's rules in order.

    Raises:
        MappingError: what is wrong in one of them, and at which key.
    """
    compiled = []
    for i, rule in enumerate(rules):
        with within("events", i):
            compiled.append(compile_rule(rule, shared))
    return compiled


def compile_rule(rule: Rule, shared: Shared) -> CompiledRule:
    """A rule, with the places of the whole file where it has none of its own.

    Raises:
        MappingError: what is wrong in it, and at which key.
    """
    tests = []
    for path, condition in rule.where.items():
        with within("where", path):
            if unknown := groups(condition) - FIELDS:
                names = ", ".join(get_args(FieldName))
                raise AdapterError(f"no field {min(unknown)!r}; a named group is one of {names}")
            tests.append((path, parse_path(path), compile_condition(condition)))
    carried = _CARRIES.get(rule.type, _PRODUCT)
    is_order = rule.type in ("purchase", "refund")
    lines, order, line = (
        _compile_lines(rule.lines),
        compile_optional("order", rule.order),
        compile_optional("line", rule.line),
    )
    return CompiledRule(
        type=rule.type,
        tests=tests,
        shared={name: spots for name, spots in shared.fields.items() if name in carried},
        own=_compile_fields(rule.fields),
        lines=shared.lines if lines is None and carried is _PRODUCT else lines,
        order=shared.order if order is None and is_order else order,
        line=shared.line if line is None and is_order else line,
    )


def _compile_lines(lines: Lines | None) -> CompiledLines | None:
    if lines is None:
        return None
    with within("lines"):
        places = {name: getattr(lines, name) for name in lines.__struct_fields__ if name != "at"}
        fields = _compile_places({name: place for name, place in places.items() if place is not None})
        with within("at"):
            paths = [lines.at] if isinstance(lines.at, str) else lines.at
            return CompiledLines([parse_path(path) for path in paths], fields)


def _compile_fields(places: Mapping[Any, Place]) -> dict[FieldName, Spots]:
    with within("fields"):
        return _compile_places(places)


def _compile_places(places: Mapping[Any, Place]) -> dict[FieldName, Spots]:
    compiled: dict[FieldName, Spots] = {}
    for name, place in places.items():
        with within(name):
            spots = compiled[name] = compile_place(place)
            if name != "category" and any(spot.separator for spot in spots):
                raise AdapterError("`separator` is for a category; no other field is a path")
    return compiled


def compile_optional(name: str, place: Place | None) -> Spots | None:
    """The place under a key of the file that may be left out.

    Raises:
        MappingError: it is wrong.
    """
    if place is None:
        return None
    with within(name):
        return compile_place(place)
