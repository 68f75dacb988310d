"""``craft``: plan and watch suites; tune, export and apply models."""

from __future__ import annotations

from pathlib import Path

import click

from craft.console import apply
from craft.console.serve import keys, serve
from craft.runtime.command import run_command

_PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Plan and watch suites that Snakemake runs; tune models on images and apply them."""


@cli.command()
@click.argument("targets", nargs=-1)
@click.option("--configfile", "configfiles", type=_PATH, multiple=True, help="As in Snakemake.")
@click.option("--config", "overrides", multiple=True, metavar="KEY=VALUE", help="As in Snakemake.")
@click.option("-s", "--snakefile", type=_PATH, help="As in Snakemake.")
@click.option("-d", "--directory", type=_PATH, help="As in Snakemake.")
@click.option("-c", "--cores", type=click.IntRange(1), default=1, help="Jobs at a time.")
@click.option("--gpus", type=click.IntRange(1), default=1, help="GPUs, where the device is cuda.")
def plan(
    targets: tuple[str, ...],
    configfiles: tuple[Path, ...],
    overrides: tuple[str, ...],
    snakefile: Path | None,
    directory: Path | None,
    cores: int,
    gpus: int,
) -> None:
    """Print what TARGETS (rules or files; all) will cost: jobs, queries, images, disk, hours."""
    from craft.plan.plan import plan_targets

    targets = targets or ("all",)
    print(
        plan_targets(
            targets,
            configfiles=configfiles,
            overrides=overrides,
            snakefile=snakefile,
            directory=directory,
            cores=cores,
            gpus=gpus,
        )
    )


@cli.command()
@click.argument("results", type=_PATH, default="results")
@click.option("--once", is_flag=True, help="Print the running jobs once and end.")
@click.option("--every", type=click.FloatRange(0.1), default=2.0, help="Seconds between updates.")
def watch(results: Path, once: bool, every: float) -> None:
    """Show the running jobs of the suite whose results are in RESULTS, until Ctrl-C."""
    from craft.console.watch import show

    show(results, once=once, every=every)


for command in (apply.tune, apply.export, apply.predict, serve, keys):
    cli.add_command(command)


def main() -> None:
    """Run the command; expected errors print one line."""
    run_command(cli)


if __name__ == "__main__":
    main()
