"""What the client's package offers to programs, and what its documents say of that."""

from __future__ import annotations

import inspect
import re
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path

import simpersona_client
from simpersona_client import _errors

ROOT = Path(__file__).resolve().parents[3]
PROJECT = ROOT / "clients" / "python"
README = (PROJECT / "README.md").read_text()
OFFERED = {name: getattr(simpersona_client, name) for name in simpersona_client.__all__}


def test_every_public_name_is_offered_in_order() -> None:
    public = {name for name in vars(simpersona_client) if not name.startswith("_")}
    assert public - {"openfeature"} == set(OFFERED)  # a module of its own, there once it was imported
    assert simpersona_client.__all__ == sorted(simpersona_client.__all__)


def test_every_error_is_offered_and_of_one_tree() -> None:
    made = {name for name, thing in vars(_errors).items() if _is_error(thing)}
    assert made == {name for name, thing in OFFERED.items() if _is_error(thing)}
    assert set(re.findall(r"\w+Error", _errors.__doc__ or "")) == made
    for name in made:
        assert issubclass(OFFERED[name], simpersona_client.ClientError)


def test_what_is_drawn_is_the_tree() -> None:
    drawn = list[tuple[int, str]]()
    for line in (_errors.__doc__ or "").splitlines():
        if match := re.match(r"(\s*)(?:\+-- )?(\w+Error)\b", line):
            depth = len(match[1]) // 4 + ("+-- " in line)
            parents = [name for at, name in drawn if at == depth - 1]
            assert depth == 0 or OFFERED[match[2]].__bases__ == (OFFERED[parents[-1]],)
            drawn.append((depth, match[2]))
    assert drawn[0] == (0, "ClientError")


def test_the_readme_draws_the_same_tree() -> None:
    tree = (_errors.__doc__ or "").split("\n\n", 1)[1].strip()
    assert tree in README


def test_every_name_is_in_the_readme() -> None:
    for name in OFFERED:
        assert name in README.split("## Errors")[1] or f"`{name}`" in README, name


def test_every_method_is_in_the_readme_and_both_clients_have_the_same() -> None:
    methods = _methods(simpersona_client.PersonaClient) - {"close"}
    assert _methods(simpersona_client.AsyncPersonaClient) - {"aclose"} == methods
    for name in methods:
        assert f"`{name}`" in README, name


def test_whatever_an_answer_holds_is_offered() -> None:
    """A program can name the type of every field and of every result without private modules."""
    for name, thing in OFFERED.items():
        for kind in _kinds(thing):
            assert OFFERED.get(kind.__name__) is kind, f"{name} shows {kind.__name__}"


def test_it_is_released_with_simpersona() -> None:
    ours, servers = (tomllib.loads((folder / "pyproject.toml").read_text()) for folder in (PROJECT, ROOT))
    assert ours["project"]["version"] == servers["project"]["version"]


def _is_error(thing: object) -> bool:
    return inspect.isclass(thing) and issubclass(thing, Exception)


def _methods(client: type) -> set[str]:
    return {name for name in vars(client) if not name.startswith("_")}


def _kinds(thing: type) -> Iterator[type]:
    """Classes of this package in the annotations of a class's fields and public methods."""
    places = [thing, *(getattr(thing, name) for name in _methods(thing)), thing.__init__]
    for place in places:
        if inspect.isclass(place) or inspect.isfunction(place):
            for hint in typing.get_type_hints(place).values():
                yield from (kind for kind in _parts(hint) if kind.__module__.startswith("simpersona_client"))


def _parts(hint: object) -> Iterator[type]:
    if inspect.isclass(hint):
        yield hint
    for part in typing.get_args(hint):
        yield from _parts(part)
