"""Paths of the mapping language: where a value is in a record.

A path is keys joined by dots; a number is a place in a list. A key in quotes is taken as it stands
(`'"user.id".name'`); without quotes, a key that holds the dots itself is found too. `[key=text]` keeps the
items of a list whose key has this text, or begins with it (`[schema=iglu:acme/*]`). Each `^` at the start
leads one level out of a list that `each` or `lines` goes through. Text that holds a JSON object or list is
decoded where a path continues inside it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from feature_store.errors import AdapterError
from feature_store.sources.adapters.common import Json, elements, json_inside

_OUT: Final = "^"
_EACH: Final = "*"
_MAX_STEPS: Final = 32
_CLOSED_BY: Final = {"'": "'", '"': '"', "[": "]"}


class Step(NamedTuple):
    """One key of a path, or a choice among a list's items.

    quoted: it is this key as it stands, no place in a list, no part of a longer key. value: the items whose
    key has it; with `prefix`, begins with it.
    """

    key: str
    quoted: bool = False
    value: str | None = None
    prefix: bool = False

    def chosen(self, items: list[Json]) -> list[Json]:
        """The items that fit."""
        return [item for item in items if isinstance(item, dict) and self._fits(item.get(self.key))]

    def _fits(self, found: Json) -> bool:
        if not isinstance(found, str) or self.value is None:
            return False
        return found.startswith(self.value) if self.prefix else found == self.value


class Path(NamedTuple):
    """A parsed path: how many levels out, then these steps. keys: of the steps, () where one is no key."""

    out: int
    steps: tuple[Step, ...]
    keys: tuple[str, ...]


class Scope:
    """A record, or an item of a list inside one (`outer`: what the list is in)."""

    __slots__ = ("_decoded", "outer", "value")

    def __init__(self, value: Json, outer: Scope | None = None) -> None:
        self.value = value
        self.outer = outer
        self._decoded: dict[int, Json] = {} if outer is None else outer._decoded

    def at(self, path: Path) -> Json:
        """What is at the path; None wherever it breaks off."""
        scope: Scope | None = self
        for _ in range(path.out):
            scope = None if scope is None else scope.outer
        if scope is None:
            return None
        value = scope.value
        for key in path.keys:  # the plain case, which needs no search
            if type(value) is not dict or key not in value:
                break
            value = value[key]
        else:
            if path.keys and (value is not None or len(path.keys) == 1):
                return value
        return self._follow(scope.value, path.steps, 0)

    def each(self, path: Path) -> list[Scope] | None:
        """The items of the list at the path, or of the mapping by index; None: there is no list."""
        found = elements(self._opened(self.at(path)))
        return None if found is None else [Scope(item, self) for item in found]

    def _follow(self, value: Json, steps: tuple[Step, ...], i: int) -> Json:
        if i == len(steps):
            return value
        value = self._opened(value)
        step = steps[i]
        if step.value is not None:
            return self._follow(step.chosen(value), steps, i + 1) if isinstance(value, list) else None
        key, quoted = step.key, step.quoted
        if isinstance(value, dict):
            found = self._follow(value[key], steps, i + 1) if key in value else None
            return found if found is not None or quoted else self._whole_key(value, steps, i)
        if isinstance(value, list) and not quoted and key.isdecimal() and len(key) < 10:
            return self._follow(value[int(key)], steps, i + 1) if int(key) < len(value) else None
        return None

    def _whole_key(self, value: dict[Json, Json], steps: tuple[Step, ...], i: int) -> Json:
        """What a key that holds the dots itself leads to: each node of a record is reached by one text."""
        key = steps[i].key
        for j in range(i + 1, len(steps)):
            if steps[j].quoted or steps[j].value is not None:
                break
            key = f"{key}.{steps[j].key}"
            if key in value and (found := self._follow(value[key], steps, j + 1)) is not None:
                return found
        return None

    def _opened(self, value: Json) -> Json:
        """What is inside a text of JSON; the text is a part of the record, so its id names it."""
        if not isinstance(value, str):
            return value
        if id(value) not in self._decoded:
            self._decoded[id(value)] = json_inside(value)
        return self._decoded[id(value)]


def parse_path(text: str) -> Path:
    """Read a path as it is written in a mapping file.

    Raises:
        AdapterError: what is wrong with it.
    """
    steps = _steps(text)
    out = next((i for i, step in enumerate(steps) if step != Step(_OUT)), len(steps))
    if Step(_EACH) in steps:
        raise AdapterError(f'the path {text!r} has the step *, which only `each` may have; quote a key: "*"')
    if Step(_OUT) in steps[out:]:
        raise AdapterError(f"the path {text!r} has ^ after a key; it leads outwards at the start only")
    return _path(out, steps[out:])


def parse_each(text: str) -> list[Path]:
    """Read the value of `each`: the paths of the lists, from outside to inside; `*` stands between two.

    Raises:
        AdapterError: what is wrong with it.
    """
    levels: list[list[Step]] = [[]]
    for step in _steps(text):
        if step == Step(_EACH):
            levels.append([])
        else:
            levels[-1].append(step)
    if not all(levels) or Step(_OUT) in {step for level in levels for step in level}:
        raise AdapterError(f"{text!r} is no path of lists: keys, with * between a list and one inside it")
    return [_path(0, tuple(level)) for level in levels]


def _path(out: int, steps: tuple[Step, ...]) -> Path:
    plain = all(step.value is None for step in steps)
    return Path(out, steps, tuple(step.key for step in steps) if plain else ())


def _steps(text: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    rest: str | None = text
    while rest is not None:
        step, rest = _first_step(text, rest)
        steps.append(step)
    if len(steps) > _MAX_STEPS:
        raise AdapterError(f"the path {text[:40]!r}... has {len(steps)} keys; {_MAX_STEPS} are the most")
    return tuple(steps)


def _first_step(text: str, rest: str) -> tuple[Step, str | None]:
    """The first step of the rest of a path, and what is left after its dot; None: nothing."""
    start = rest[:1]
    if start in _CLOSED_BY:
        inner, closed, after = rest[1:].partition(_CLOSED_BY[start])
        if not closed or (after and not after.startswith(".")):
            raise AdapterError(f"the path {text!r} has a {start} without its end before a dot")
        rest_after = after[1:] if after else None
    else:
        inner, dot, after = rest.partition(".")
        rest_after = after if dot else None
    key, sign, value = inner.partition("=") if start == "[" else (inner, "", "")
    if not key or (start == "[" and not (sign and value)):
        raise AdapterError(
            f"the path {text!r} has an empty key; a path is keys joined by dots, or [key=text]"
        )
    if start == "[":
        return Step(key, value=value.removesuffix("*"), prefix=value.endswith("*")), rest_after
    return Step(key, quoted=start in ("'", '"')), rest_after
