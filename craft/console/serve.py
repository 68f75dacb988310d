"""``craft serve`` and ``craft keys``: serve a black box over HTTP, and manage its keys."""

from __future__ import annotations

import time
from pathlib import Path

import click

_PATH = click.Path(path_type=Path)
_KEYS = click.option(
    "--keys",
    type=_PATH,
    default=Path("keys.sqlite"),
    show_default=True,
    help="Database of the keys.",
)
_BUDGET = click.IntRange(0)


class _Named(click.ParamType):
    """NAME=FOLDER."""

    name = "NAME=FOLDER"

    def convert(self, value: str, param: object, ctx: object) -> tuple[str, Path]:
        """Return name and folder."""
        name, _, folder = value.partition("=")
        if not name or not folder:
            self.fail(f"expected NAME=FOLDER, got {value!r}")
        return name, Path(folder)


@click.command()
@click.option(
    "--backbone", type=_PATH, required=True, help="Description, config/backbones/NAME.yaml."
)
@_KEYS
@click.option("--images", type=_Named(), multiple=True, help="Images for all keys.")
@click.option("--tasks", type=_PATH, help="YAML: NAME: {class_names: [...], template: ...}.")
@click.option(
    "--reading",
    type=click.Choice(["shown", "stored"]),
    default="shown",
    show_default=True,
    help="How --images are decoded (docs/your-own-data.md).",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Serve Prometheus' /metrics.")
@click.option("--device", default="cpu", show_default=True, help="Device of the model.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Arithmetic of the text forward.",
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--upload-bytes", type=click.IntRange(1), default=1 << 30, show_default=True)
def serve(
    backbone: Path,
    keys: Path,
    images: tuple[tuple[str, Path], ...],
    tasks: Path | None,
    reading: str,
    host: str,
    port: int,
    metrics_port: int | None,
    device: str,
    dtype: str,
    threads: int,
    upload_bytes: int,
) -> None:
    """Let others tune a backbone without its weights: answer and count their queries over HTTP."""
    import logging

    from craft.service.limits import Limits
    from craft.service.start import Settings
    from craft.service.start import serve as run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(
        Settings(
            backbone=backbone,
            keys=keys,
            images=dict(images),
            tasks=tasks,
            reading=reading,
            host=host,
            port=port,
            metrics_port=metrics_port,
            device=device,
            dtype=dtype,
            threads=threads,
            limits=Limits(upload_bytes=upload_bytes),
        )
    )


@click.group()
def keys() -> None:
    """Add, list and revoke the keys of a service."""


@keys.command("add")
@click.argument("name")
@_KEYS
@click.option("--budget", type=_BUDGET, help="Most queries; unlimited by default.")
@click.option("--scorings", type=_BUDGET, help="Most scored images (queries x images).")
@click.option("--images", type=_BUDGET, help="Most uploaded images.")
@click.option("--calls-per-minute", type=click.IntRange(1), help="Unlimited by default.")
@click.option(
    "--access",
    type=click.Choice(["predictions", "texts", "features"]),
    multiple=True,
    default=["predictions"],
    show_default=True,
    help="Access level of the key; repeat the option for several.",
)
@click.option("--make-tasks", is_flag=True, help="Let the key make tasks of its own.")
def add_key(
    name: str,
    keys: Path,
    budget: int | None,
    scorings: int | None,
    images: int | None,
    calls_per_minute: int | None,
    access: tuple[str, ...],
    make_tasks: bool,
) -> None:
    """Add a key for NAME and print it; only its hash is stored."""
    from craft.service.database import Database
    from craft.service.keys import add

    secret = add(
        Database(keys),
        name,
        access=access,
        makes_tasks=make_tasks,
        query_budget=budget,
        scoring_budget=scorings,
        image_budget=images,
        calls_per_minute=calls_per_minute,
    )
    print(secret)


@keys.command("list")
@_KEYS
def list_keys(keys: Path) -> None:
    """Print each key's name, rights and spending."""
    from tabulate import tabulate

    from craft.service.database import Database
    from craft.service.keys import listed

    rows = []
    for key in listed(Database(keys)):
        spent = [
            f"{done:,}" if most is None else f"{done:,} of {most:,}"
            for done, most in (
                (key.queries, key.query_budget),
                (key.scorings, key.scoring_budget),
                (key.images, key.image_budget),
            )
        ]
        access = ", ".join([*key.access, *(["tasks"] if key.makes_tasks else [])])
        state = "revoked" if key.revoked else "valid"
        made = time.strftime("%Y-%m-%d", time.localtime(key.created))
        rows.append((key.name, state, made, access, *spent))
    header = ("name", "state", "made", "access", "queries", "scorings", "images")
    print(tabulate(rows, header, disable_numparse=True))


@keys.command("revoke")
@click.argument("name")
@_KEYS
def revoke_key(name: str, keys: Path) -> None:
    """Refuse the key of NAME from now on."""
    from craft.service.database import Database
    from craft.service.keys import revoke

    revoke(Database(keys), name)
    print(f"{name}: revoked")
