"""A guarded box that accepts uploads of images during a fit."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

from craft.blackbox.guards.guard import check_purpose
from craft.blackbox.guards.predictions import GuardedBox
from craft.protocol import UploadBox, check_upload


class GuardedUploadBox(GuardedBox):
    """A guarded box that accepts uploads; see craft.protocol.UploadBox."""

    def __init__(self, box: UploadBox, **patience: Any) -> None:
        super().__init__(box, **patience)
        self.image_size, self.image_std = box.image_size, box.image_std
        self._upload_box = box

    def upload(self, images: torch.Tensor, purpose: str = "search") -> AbstractContextManager[str]:
        """Return a context with the name of the image set; raises ValueError for wrong images."""
        check_purpose(purpose)
        check_upload(self.image_size, images)
        return self._upload_box.upload(images, purpose)
