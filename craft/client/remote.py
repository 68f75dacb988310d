"""A model behind a service, which replaces a text tower in a fit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from craft.client.chosen import Chosen
from craft.files.atomic import RecordError, read_metadata, write_tensors
from craft.files.yaml12 import read
from craft.protocol import QueryMeter

if TYPE_CHECKING:
    from craft.client.box import HttpBox, HttpFeatureBox
    from craft.client.connection import Connection

#: Kind in the metadata of a description, in place of a text tower's kind.
_TEXT = "http"


@dataclass(frozen=True)
class Service:
    """Address of a service, and the name of the environment variable with its key."""

    url: str
    key_variable: str

    @classmethod
    def of_backbone(cls, path: str | os.PathLike[str]) -> tuple[Service, Mapping[str, object]]:
        """Return the service of a backbone's YAML (kind http), and the YAML; raises YamlError."""
        config = read(path, "name", "kind", "url", "key")
        return cls(str(config["url"]), str(config["key"])), config

    def connect(self) -> Connection:
        """Return a connection; raises ServiceError without a key."""
        from craft.client.connection import Connection, key_of

        return Connection(self.url, key_of(self.key_variable))


@dataclass(frozen=True)
class Remote:
    """A service's model with class names and a template: everything that its boxes need."""

    service: Service
    revision: str
    class_names: Sequence[str]
    template: str
    words: int | None = None

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], service: Service, names: Sequence[str], template: str
    ) -> Remote:
        """Read what :func:`write_description` wrote; raises RecordError for another file."""
        metadata = read_metadata(path)
        if metadata.get("text") != _TEXT or not isinstance(metadata.get("revision"), str):
            raise RecordError(f"{path}: expected the description of a service, got another file")
        return cls(service, metadata["revision"], names, template)

    def with_context(self, context: object) -> Remote:
        """Raise ValueError: a service accepts only words as context."""
        raise ValueError("context_tokens: expected 0, as a service's context is words, got others")

    def leading(self, words: int) -> Remote:
        """Return the same classes after the first words of the template alone."""
        return replace(self, words=words)

    def box(
        self, access: str, image_sets: Mapping[str, Chosen], meter: QueryMeter, run: str
    ) -> HttpBox | HttpFeatureBox:
        """Return a box over image sets by name, for an access level of services.

        The service charges the questions of the run named ``run`` once. Raises ServiceError and
        ModelChanged.
        """
        # Here, so that a fit without a service needs no HTTP client.
        from craft.client.box import HttpBox, HttpFeatureBox
        from craft.client.connection import ModelChanged, ServiceError
        from craft.client.image_sets import select

        kinds: dict[str, type[HttpBox] | type[HttpFeatureBox]] = {
            kind.access: kind for kind in (HttpBox, HttpFeatureBox)
        }
        connection = self.service.connect()
        facts = connection.model()
        if facts["revision"] != self.revision:
            raise ModelChanged(
                f"{self.service.url}: expected model {self.revision}, got {facts['revision']}; "
                "delete the backbone's folder below results/backbones to begin with the new one"
            )
        for chosen in image_sets.values():
            if chosen.image_set not in facts["image_sets"]:
                raise ServiceError(
                    f"{self.service.url}: expected image set {chosen.image_set!r}, got none; "
                    "delete the backbone's folder below results/features to upload it again"
                )
            if chosen.name not in facts["image_sets"]:
                rows = chosen.rows or range(facts["image_sets"][chosen.image_set]["images"])
                select(connection, chosen.name, chosen.image_set, rows, chosen.norm)
        task = connection.task(self.class_names, self.template, self.words)["task"]
        return kinds[access](
            self.service.url,
            "",
            task=task,
            image_sets={name: chosen.name for name, chosen in image_sets.items()},
            run=run,
            revision=self.revision,
            meter=meter,
            connection=connection,
        )


def write_description(path: str | os.PathLike[str], backbone: str, revision: str) -> None:
    """Write which model a service has, in place of a text tower; the address is left out."""
    provenance = {"backbone": backbone, "weights_sha256": revision}
    write_tensors(path, {}, {"text": _TEXT, "revision": revision, "provenance": provenance})
