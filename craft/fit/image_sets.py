"""Image sets of a fit: features in memory, or names of image sets at a service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from craft.client.chosen import Chosen
from craft.files.image_features import Features
from craft.files.uploaded import Uploaded, is_uploaded

#: An image set of a box: features (N, E), or rows of a service's.
Images = torch.Tensor | Chosen


def read_images(path: Path) -> Features | Uploaded:
    """Read the features, or the upload, of a part of a data set; raises RecordError."""
    return Uploaded.read(path) if is_uploaded(path) else Features.read(path)


def whole(images: Features | Uploaded, device: torch.device) -> Images:
    """Return all images of a part."""
    if isinstance(images, Uploaded):
        return Chosen(images.image_set)
    return torch.from_numpy(images.features).to(device)


def chosen(
    images: Features | Uploaded, paths: Sequence[str], norm: str, device: torch.device
) -> Images:
    """Return images of a part by their paths; ``norm`` raw keeps the length of the features."""
    rows = images.rows(paths)
    if isinstance(images, Uploaded):
        return Chosen(images.image_set, tuple(rows.tolist()), norm)
    unit = torch.from_numpy(images.features[rows]).to(device)
    if norm == "raw":
        return unit * torch.from_numpy(images.norms[rows]).to(device)[:, None]
    return unit


def part(images: Images, numbers: torch.Tensor) -> Images:
    """Return a subset of a chosen set of images."""
    if isinstance(images, Chosen):
        return images.part(numbers.tolist())
    return images[numbers.to(images.device)]
