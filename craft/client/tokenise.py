"""Let a service tokenise the prompts of data sets; writes what craft.blackbox.text.tokenise writes.

``python -m craft.client.tokenise --backbone B.yaml --manifest ... --dataset ... --out ...``
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from craft.blackbox.text.tokenise import PromptTokens, parser_of_prompts, write_prompts
from craft.client.remote import Service
from craft.runtime.command import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Write prompts as the service tokenises them."""
    parser = parser_of_prompts("python -m craft.client.tokenise", main.__doc__)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    service, config = Service.of_backbone(options.backbone)
    connection = service.connect()

    def tokenise(classes: Sequence[str], template: str) -> PromptTokens:
        told: dict[str, Any] = connection.task(classes, template)["tokens"]
        suffixes = tuple(tuple(ids) for ids in told["suffix_ids"])
        start, context, pad = told["start_id"], tuple(told["context_ids"]), told["pad_id"]
        return PromptTokens(template, tuple(classes), start, context, suffixes, pad)

    def same(tokens: PromptTokens) -> tuple[tuple[str, ...], ...]:
        groups = connection.task(tokens.class_names, tokens.template)["indistinct"]
        return tuple(tuple(group) for group in groups)

    write_prompts(options, str(config["name"]), tokenise, same)


if __name__ == "__main__":
    run_command(main)
