"""Build the box of a tuned model whose backbone is behind a service."""

from __future__ import annotations

import contextlib
import io
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from craft.apply.tuned_model import TunedModel
from craft.blackbox.images.preprocess import Preprocess
from craft.client.chosen import Chosen
from craft.client.connection import KEY_VARIABLE, Connection, ServiceError
from craft.client.image_sets import packed, send
from craft.client.remote import Remote, Service
from craft.fit.boxes import Box, box_for
from craft.learner.base import Learner
from craft.runtime.progress import Progress


def service_of(model: TunedModel, url: str | None) -> Service | None:
    """Return the service at ``url``, else that of the model's description, else None.

    For ``url``, the environment variable CRAFT_API_KEY holds the key.
    """
    if url:
        return Service(url, KEY_VARIABLE)
    if model.backbone["kind"] == "http":
        return Service(model.backbone["url"], model.backbone["key"])
    return None


@contextlib.contextmanager
def remote_box(
    service: Service, model: TunedModel, learner: Learner, files: Sequence[Path], name: str
) -> Iterator[Box]:
    """Yield a box with image files as the image set ``name``; delete them after the block.

    Images are cropped and resized in this process, as the service's model needs them. Raises
    ServiceError for a service with another backbone, or without the access that is needed.
    """
    connection = service.connect()
    facts = connection.model()
    digests = (facts["revision"], facts["weights_sha256"])
    if model.backbone["sha256"] not in digests:
        raise ServiceError(
            f"{service.url}: expected the backbone that the model was tuned on, SHA-256 "
            f"{model.backbone['sha256']}, got {facts['name']}, SHA-256 {facts['weights_sha256']}"
        )
    if len(model.prompts) > 1:
        raise ServiceError(
            f"{service.url}: expected one template, as services average no templates, got "
            f"{len(model.prompts)}"
        )
    uploaded = _upload(connection, Preprocess.of(facts["image"]), files, model.reading)
    try:
        tower = Remote(service, facts["revision"], model.class_names, model.prompts[0].template)
        sets = {name: Chosen(uploaded)}
        yield box_for(learner, tower, sets, model.train_images, run=uuid.uuid4().hex)
    finally:
        with connection.answer("DELETE", f"/v1/image-sets/{uploaded}"):
            pass


def _upload(
    connection: Connection, preprocess: Preprocess, files: Sequence[Path], reading: str
) -> str:
    """Upload files without loss, cropped and resized; return the name of the image set."""
    with Progress("upload", len(files), "images") as progress:

        def content(number: int) -> bytes:
            progress.reach(number)
            stream = io.BytesIO()
            pixels = preprocess.read(files[number], reading=reading)
            Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
            return stream.getvalue()

        members = ((f"{n:08}.png", lambda n=n: content(n)) for n in range(len(files)))
        with packed(members) as (archive, digest):
            # A name for this call only: the set is deleted at the end, and calls may overlap.
            name = f"predict-{digest[:16]}-{uuid.uuid4().hex[:8]}"
            send(connection, name, archive, reading="stored")
        progress.reach(len(files))
    return name
