"""Data types of the text forward in a fit, by purpose."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from craft.blackbox.text.prefix_sharing import DTYPES
from craft.learner.base import Learner

#: Values of a suite's ``dtype``: one type throughout, or the fastest for the search.
ACCEPTED = (*DTYPES, "auto")


@dataclass(frozen=True)
class TextDtypes:
    """Names of the text forward's types: in a search, and otherwise."""

    search: str
    rest: str

    @classmethod
    def of(cls, asked: str, learner: type[Learner], device: torch.device | str) -> TextDtypes:
        """Return the types that a suite's ``dtype`` gives a learner on a device.

        ``auto`` is float32, but bfloat16 in the search of a learner that only ranks candidates,
        where the device multiplies bfloat16 itself.
        """
        if asked != "auto":
            return cls(asked, asked)
        fast = learner.ranks and has_bfloat16(torch.device(device))
        return cls("bfloat16" if fast else "float32", "float32")


FLOAT32 = TextDtypes("float32", "float32")


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions that multiply bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
