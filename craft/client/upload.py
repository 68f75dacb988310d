"""Upload parts of data sets to a service, which replaces encoding them.

``python -m craft.client.upload --backbone B.yaml --manifest D.csv --root FOLDER --dataset D.yaml
--part train|test [--copy C] [--splits FILES] --out FILE``

Images are cropped and resized here, as the service's model needs them, and sent without loss.
Augmented copies of training images are made here too.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Sequence

from PIL import Image

from craft.blackbox.images.encode import Pictures
from craft.blackbox.images.selection import Selected, image_sets, parser_of_sets
from craft.client.connection import Connection
from craft.client.image_sets import packed, send
from craft.client.remote import Service
from craft.data.fingerprint import fingerprint
from craft.files import receipts
from craft.files.atomic import RecordError
from craft.files.uploaded import Uploaded
from craft.runtime.command import run_command

log = logging.getLogger(__name__)


def _png(pictures: Pictures, number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pictures.read(number)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _upload(connection: Connection, one: Selected, backbone: str) -> Uploaded:
    facts = connection.model()
    pictures = one.pictures(facts["image"])
    members = (
        (f"{n:08}.png", functools.partial(_png, pictures, n)) for n in range(len(one.images))
    )
    part = f"{one.part}-{one.kind}-{one.view}" if one.view else one.part
    with packed(members) as (archive, digest):
        name = f"{one.facts['name']}-{part}-{digest[:16]}"
        send(connection, name, archive, reading="stored")
    log.info("%s: %d images are %s of the service", one.about, len(one.images), name)
    return Uploaded(
        image_set=name,
        paths=one.paths,
        backbone=backbone,
        dataset=one.facts["name"],
        part=one.part,
        view=one.view,
        kind=one.kind,
        classes=one.classes,
        manifest_sha256=one.manifest_sha256,
        weights_sha256=facts["revision"],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Upload parts of data sets, and write the names of the service's image sets."""
    parser = parser_of_sets("python -m craft.client.upload", __doc__)
    parser.add_argument("--weights", nargs="?", help="none: they are the service's")
    parser.add_argument("--device", choices=["cpu"], default="cpu", help="where images are read")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    service, config = Service.of_backbone(given.backbone)
    connection = service.connect()
    for one in image_sets(given, parser):
        state = fingerprint(one.folder, one.paths)
        uploaded = _upload(connection, one, str(config["name"]))
        if fingerprint(one.folder, one.paths) != state:
            raise RecordError(f"images of {one.about} changed while they were uploaded")
        uploaded.write(one.out)
        read = [given.backbone, one.manifest, *one.splits]
        receipts.write([one.out], given.receipt, read, [state])


if __name__ == "__main__":
    run_command(main)
