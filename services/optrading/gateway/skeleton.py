"""The readable part of the configuration: a YAML file in which `!value <name>` stands for a Python value."""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class SkeletonError(Exception):
    """The skeleton and the values for it do not belong together."""


def gateway_directory() -> Path:
    """Return the folder of envoy.yaml and check_query.lua: `gateway/` of a checkout, or where a wheel put it.

    Raises:
        SkeletonError: Neither is there.
    """
    checkout = Path(__file__).resolve().parents[3] / "gateway"
    installed = Path(sysconfig.get_path("data")) / "share" / "optrading" / "gateway"
    for directory in (checkout, installed):
        if (directory / "envoy.yaml").is_file():
            return directory
    raise SkeletonError(f"no envoy.yaml in {checkout} or {installed}: the installation is not complete")


def fill_skeleton(text: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document `text` with every `!value <name>` replaced by `values[name]`, as it is.

    Values are put in as objects, never as text: nothing in them can be read as YAML.

    Raises:
        SkeletonError: A name has no value, or a value has no place.
    """
    used: set[str] = set()

    class Loader(yaml.SafeLoader):
        """A loader of its own, so that the tag is known nowhere else."""

    def value(_: yaml.SafeLoader, node: yaml.Node) -> Any:
        name = node.value
        if name not in values:
            raise SkeletonError(f"the skeleton asks for the value {name}, which there is not")
        used.add(name)
        return values[name]

    Loader.add_constructor("!value", value)
    document = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader with one more tag
    if unused := set(values) - used:
        raise SkeletonError(f"the skeleton has no place for {', '.join(sorted(unused))}")
    return dict(document)
