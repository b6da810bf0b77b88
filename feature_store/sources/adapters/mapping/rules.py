"""The rules of a mapping file, compiled: which records are an event of which type, and what is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, get_args

from feature_store.contract.events import EventType
from feature_store.errors import AdapterError
from feature_store.sources.adapters.common import (
    Fields,
    Json,
    Line,
    currency,
    identifier,
    most_valuable,
    number,
    text,
    whole_number,
)
from feature_store.sources.adapters.mapping.language import FieldName, Lines, MappingFile, Place, Rule
from feature_store.sources.adapters.mapping.paths import Path, Scope, parse_path
from feature_store.sources.adapters.mapping.patterns import Captured, Test, compile_condition, groups
from feature_store.sources.adapters.mapping.places import Spots, compile_place, within

_READERS: Final[dict[str, Callable[[Json], Json]]] = {
    "product_id": identifier,
    "category": text,
    "brand": text,
    "query": text,
    "price": number,
    "value": number,
    "currency": currency,
    "quantity": whole_number,
}
_PRODUCT: Final = frozenset(get_args(FieldName)) - {"query"}
_CARRIES: Final[dict[EventType, frozenset[str]]] = {
    "page_view": frozenset(),
    "list_view": frozenset({"category"}),
    "search": frozenset({"query"}),
    "sign_up": frozenset(),
    "login": frozenset(),
}
"""Which of the whole file's fields an event of a type takes; other types take those of a product."""
_WITH_LINES: Final = frozenset({"view_cart", "begin_checkout", "add_payment_info", "purchase"})


class CompiledLines(NamedTuple):
    """Where an order's lines are, and the places within one."""

    at: Path
    fields: dict[str, Spots]

    def read(self, scope: Scope) -> Fields:
        """The fields of the line worth most; none if there is no line."""
        return most_valuable(self._line(item) for item in scope.each(self.at) or ())

    def _line(self, item: Scope) -> Line:
        fields = _read(self.fields, item)
        count = fields.get("quantity")
        return Line(fields, (fields.get("price") or 0.0) * (1 if count is None else count))


class CompiledRule(NamedTuple):
    """One kind of event. shared: places of the whole file; own: the rule's, which come first."""

    type: EventType
    tests: list[tuple[Path, Test]]
    shared: dict[str, Spots]
    own: dict[str, Spots]
    lines: CompiledLines | None
    order: Spots | None
    line: Spots | None

    def match(self, scope: Scope) -> Captured | None:
        """What the conditions captured; None: one of them does not hold."""
        captured: Captured = {}
        for path, test in self.tests:
            found = test(scope.at(path))
            if found is None:
                return None
            captured.update(found)
        return captured

    def fields(self, scope: Scope, captured: Captured) -> Fields:
        """The contract fields: the rule's own, else captured ones, else the file's, else the best line's."""
        fields: Fields = {} if self.lines is None else self.lines.read(scope)
        for found in (
            _read(self.shared, scope),
            {name: _READERS[name](value) for name, value in captured.items()},
            _read(self.own, scope),
        ):
            fields.update({name: value for name, value in found.items() if value is not None})
        return fields


def _read(places: Mapping[str, Spots], scope: Scope) -> Fields:
    return {name: spots.read(scope, _READERS[name]) for name, spots in places.items()}


class Shared(NamedTuple):
    """Places of the whole file, which every rule has that can use them."""

    fields: dict[str, Spots]
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
            if unknown := groups(condition) - _READERS.keys():
                names = ", ".join(_READERS)
                raise AdapterError(f"no field {min(unknown)!r}; a named group is one of {names}")
            tests.append((parse_path(path), compile_condition(condition)))
    carried = _CARRIES.get(rule.type, _PRODUCT)
    is_order = rule.type == "purchase"
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
        lines=shared.lines if lines is None and rule.type in _WITH_LINES else lines,
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
            return CompiledLines(parse_path(lines.at), fields)


def _compile_fields(places: Mapping[Any, Place]) -> dict[str, Spots]:
    with within("fields"):
        return _compile_places(places)


def _compile_places(places: Mapping[Any, Place]) -> dict[str, Spots]:
    compiled = {}
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
