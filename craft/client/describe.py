"""Write the description of a service's model, which replaces an exported text tower.

``python -m craft.client.describe --backbone B.yaml --out FILE``; B.yaml is of kind http.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from craft.client.connection import ServiceError
from craft.client.remote import Service, write_description
from craft.files import receipts
from craft.runtime.command import run_command

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write which model a service has; raise ServiceError if the key lacks B.yaml's access."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--backbone", type=Path, required=True, help="backbone YAML")
    parser.add_argument("--weights", nargs="?", help="not used: the service has them")
    parser.add_argument("--out", type=Path, required=True, help="safetensors to write")
    receipts.add_argument(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    service, config = Service.of_backbone(options.backbone)
    facts = service.connect().model()
    lacking = {*config.get("access", ["predictions"])} - {*facts["access"]}
    if lacking:
        raise ServiceError(
            f"{options.backbone}: expected a key of access {', '.join(sorted(lacking))}, got one "
            f"of {', '.join(facts['access'])}"
        )
    write_description(options.out, str(config["name"]), facts["revision"])
    receipts.write([options.out], options.receipt, [options.backbone])
    log.info("%s: model %s, revision %s", service.url, facts["name"], facts["revision"])


if __name__ == "__main__":
    run_command(main)
