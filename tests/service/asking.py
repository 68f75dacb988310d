"""A client that asks a fixed list of questions of one run and writes the answers, to be killed.

``python -m tests.service.asking URL KEY RUN OUT``
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from craft.client.box import HttpBox
from craft.files.atomic import write_tensors

#: Questions, and contexts in each.
QUESTIONS, CONTEXTS = 25, 4


def offsets(number: int) -> torch.Tensor:
    """Return the contexts of a question."""
    generator = torch.Generator().manual_seed(number)
    return 0.1 * torch.randn(CONTEXTS, 4, 64, generator=generator)


def ask(url: str, key: str, run: str, out: Path) -> None:
    """Ask all, each once, and write all answers."""
    box = HttpBox(url, key, task="shapes", run=run)
    answers = [torch.cat(list(box.predict("pictures", offsets(n)))) for n in range(QUESTIONS)]
    write_tensors(out, {"answers": torch.stack(answers).numpy()}, {})


if __name__ == "__main__":
    torch.set_num_threads(1)
    url, key, run, out = sys.argv[1:]
    ask(url, key, run, Path(out))
