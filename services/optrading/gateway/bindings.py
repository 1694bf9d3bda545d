"""The REST faces of a method, read from its `google.api.http` option."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor

_VARIABLE = re.compile(r"\{([a-z0-9_.]+)\}")
# Messages that JSON writes as one string or number, and that a query parameter can therefore hold whole.
_SCALAR_MESSAGES = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"})

Occurrence = Literal["once", "many"]


class BindingError(Exception):
    """A `google.api.http` option uses something that the gateway cannot route."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One HTTP method and path that reach a method of the contract.

    Attributes:
        verb: HTTP method, such as `GET`.
        template: Path with variables in braces, each one segment.
        query: Query parameters: how often each may be given.
        values: The names that query parameters of an enum can have.
    """

    verb: str
    template: str
    query: dict[str, Occurrence]
    values: dict[str, list[str]]

    @property
    def path_regex(self) -> str | None:
        """Return a pattern of whole paths, or None when the template has no variable."""
        if not _VARIABLE.search(self.template):
            return None
        literals = [re.escape(part).replace(r"\-", "-") for part in _VARIABLE.sub("\0", self.template).split("\0")]
        return "[^/]+".join(literals)


def bindings_of(method: MethodDescriptor) -> list[Binding]:
    """Return the REST faces of `method`, the canonical one first; none when it has no option.

    Raises:
        BindingError: A path has wildcards or a custom verb.
    """
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return []
    rule = options.Extensions[annotations_pb2.http]
    return [_binding(method, each) for each in (rule, *rule.additional_bindings)]


def _binding(method: MethodDescriptor, rule: http_pb2.HttpRule) -> Binding:
    verb = rule.WhichOneof("pattern")
    if verb not in ("get", "put", "post", "delete", "patch"):
        raise BindingError(f"{method.full_name}: verb {verb} cannot be routed")
    template: str = getattr(rule, verb)
    if re.search(r"[*{}]", _VARIABLE.sub("", template)):
        raise BindingError(f"{method.full_name}: {template} may hold only variables of one segment")
    taken = {*_VARIABLE.findall(template), rule.body}
    fields = [] if rule.body == "*" else [each for each in _parameters(method.input_type, ()) if each[0] not in taken]
    query: dict[str, Occurrence] = {name: "many" if field.is_repeated else "once" for name, field in fields}
    values = {name: _names(field.enum_type) for name, field in fields if field.enum_type is not None}
    return Binding(verb.upper(), template, query, values)


def _names(enum: EnumDescriptor) -> list[str]:
    """Return the values that say something."""
    return [value.name for value in enum.values if value.number != 0]


def _parameters(message: Descriptor, parents: tuple[Descriptor, ...]) -> Iterator[tuple[str, FieldDescriptor]]:
    """Yield the fields of `message` that can stand in a query; nested ones as `outer.inner`."""
    for field in message.fields:
        inner = field.message_type if field.type == FieldDescriptor.TYPE_MESSAGE else None
        if inner is None or inner.full_name in _SCALAR_MESSAGES:
            yield field.name, field
        elif not field.is_repeated and inner not in parents:
            for name, leaf in _parameters(inner, (*parents, message)):
                yield f"{field.name}.{name}", leaf
