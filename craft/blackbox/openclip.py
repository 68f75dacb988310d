"""open_clip, imported without torch's compiler, which takes longer than all the rest of it.

At the start of each job that holds a model, torchvision and timm, which open_clip imports, have the
compiler imported: for a question that only ``roi_align`` asks, and to mark methods that it is not
to compile. The question imports it when asked; nothing of timm is compiled here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from unittest import mock

import torch


def _is_compile_supported(device_type: str) -> bool:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    later = ModuleType("torch._dynamo.utils")
    later.is_compile_supported = _is_compile_supported
    sys.modules[later.__name__] = later
    try:
        with mock.patch.object(torch.compiler, "disable", lambda method, **_: method):
            yield
    finally:
        del sys.modules[later.__name__]


with contextlib.nullcontext() if "torch._dynamo" in sys.modules else _without_compiler():
    import open_clip

__all__ = ["open_clip"]
