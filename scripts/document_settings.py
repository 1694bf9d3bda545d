"""Writes the tables of docs/configuration.md from the settings classes; `--check` only tells whether they are current.

A table stands between `<!-- settings: module:Class -->` and `<!-- end -->`. Names come from the fields, meanings from
the `Attributes:` of the class's docstring, so that there is one place to change.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

_SECTION = re.compile(r"(<!-- settings: (?P<module>[\w.]+):(?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(page: str) -> str:
    """Return `page` with every table as the classes give it."""
    return _SECTION.sub(lambda found: found[1] + _table(_class(found["module"], found["name"])) + found[4], page)


def documented(page: str) -> set[tuple[str, str]]:
    """Return module and name of every class that has a table in `page`."""
    return {(found["module"], found["name"]) for found in _SECTION.finditer(page)}


def _class(module: str, name: str) -> type[BaseModel]:
    kind: type[BaseModel] = getattr(importlib.import_module(module), name)
    return kind


def _table(kind: type[BaseModel]) -> str:
    rows = "".join(f"| `{name}` | {default} | {meaning} |\n" for name, default, meaning in settings_of(kind))
    return f"\n| setting | default | meaning |\n|---|---|---|\n{rows}\n"


def settings_of(kind: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    """Yield name, default and meaning of what `kind` adds to the settings class it extends, or changes of it.

    Raises:
        KeyError: A field is missing in the `Attributes:` of the docstring.
    """
    base = next(parent for parent in kind.__mro__[1:] if isinstance(parent, type) and issubclass(parent, BaseModel))
    inherited = {} if base.__module__.startswith("pydantic") else base.model_fields
    bases = [
        each for each in kind.__mro__ if issubclass(each, BaseModel) and not each.__module__.startswith("pydantic")
    ]
    meanings = {field: text for each in reversed(bases) for field, text in _meanings(each).items()}
    names = {field: _environment_name(field, info) for field, info in kind.model_fields.items()}
    for field, info in kind.model_fields.items():
        if field in inherited and inherited[field].default == info.default:
            continue
        meaning = " ".join((meanings[field], *_choices(info.annotation)))
        yield names[field], _default(info), _for_the_environment(meaning, names).replace("|", r"\|")


def _for_the_environment(meaning: str, names: Mapping[str, str]) -> str:
    """Name other settings as the environment does, and leave out what only the class's readers need."""
    meaning = re.sub(r" \(`[A-Z_]+`\)", "", meaning)
    meaning = re.sub(r"`(\w+)`", lambda found: f"`{names.get(found[1], found[1])}`", meaning)
    meaning = re.sub(r"(?<![`\w])(<\w+>[\w.]*)", r"`\1`", meaning)
    return meaning


def _choices(annotation: object) -> Iterator[str]:
    """Yield one sentence per value of an enumeration: the value and the docstring below it."""
    if not (isinstance(annotation, type) and issubclass(annotation, Enum)):
        return
    body = ast.parse(inspect.getsource(annotation)).body[0]
    assert isinstance(body, ast.ClassDef)
    for member, text in pairwise(body.body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            value, words = ast.literal_eval(member.value), " ".join(ast.literal_eval(text.value).split())
            yield f"`{value}`: {words[:1].lower()}{words[1:]}"


def _environment_name(field: str, info: FieldInfo) -> str:
    return str(info.validation_alias or field).upper()


def _default(info: FieldInfo) -> str:
    value = info.default
    if value is PydanticUndefined:
        return "required"
    if value is None or value == "":
        return "unset"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        value = ",".join(value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _meanings(kind: type[BaseModel]) -> dict[str, str]:
    lines = inspect.getdoc(kind) or ""
    attributes = lines.partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.finditer(r"^    (\w+): (.+(?:\n {6,}.+)*)", attributes, re.MULTILINE)
    return {each[1]: " ".join(each[2].split()) for each in found}


def main(arguments: list[str]) -> int:
    """Write or check the page; return 1 when it is not current."""
    before = PAGE.read_text(encoding="utf-8")
    current = render(before)
    if "--check" not in arguments:
        PAGE.write_text(current, encoding="utf-8")
    elif before != current:
        print(f"{PAGE} is not what the settings classes give: run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
