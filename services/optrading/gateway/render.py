"""Writes gateway/routes.yaml, the routes as the contract gives them; `--check` only tells whether it is current."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from optrading.common.access import read_contract
from optrading.gateway.configuration import dump_yaml
from optrading.gateway.routes import RouteParameters, route_configuration
from optrading.gateway.skeleton import gateway_directory

HEADER = """\
# Rendered from the contract by `python -m optrading.gateway.render`; do not edit.
# What Envoy runs with has the same routes, with the path of its own descriptor set.
"""


def render_routes() -> str:
    """Return the text that gateway/routes.yaml must have."""
    parameters = RouteParameters(Path("contract.pb"), unary_timeout_s=30.0, stream_idle_timeout_s=60.0)
    return HEADER + dump_yaml(route_configuration(read_contract(), parameters))


def main(arguments: list[str]) -> int:
    """Write or check the file; return 1 when it is not current."""
    parser = argparse.ArgumentParser(prog="python -m optrading.gateway.render", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file is not current")
    checks = parser.parse_args(arguments).check
    path = gateway_directory() / "routes.yaml"
    current = render_routes()
    if not checks:
        path.write_text(current, encoding="utf-8")
    elif not path.is_file() or path.read_text(encoding="utf-8") != current:
        print(f"{path} is not what the contract gives: run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
