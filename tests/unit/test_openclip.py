"""A job that holds a model imports no compiler, and misses nothing for it."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import craft.blackbox.backbones.load
assert "timm" in sys.modules and "torchvision" in sys.modules
assert not [name for name in sys.modules if name.startswith("torch._dynamo")]
import torch, torchvision
boxes = torch.tensor([[0, 0, 0, 2, 2.]])
assert torchvision.ops.roi_align(torch.ones(1, 1, 4, 4), boxes, 1).item() == 1
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item() == 2
marked = torch.compiler.disable(lambda x: x)
assert marked._torchdynamo_disable
"""


def test_the_compiler_is_imported_by_who_asks_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
