"""What the rows and columns of a table are called, and in which order they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from craft.design.runs import ZERO_SHOT, Design
from craft.report.published import Published
from craft.report.published_files import NAMES
from craft.report.tables.model import BACKBONE

#: Rows as the paper orders them; a method that it does not have follows in the config's order.
ORDER = {
    "architectures": ("zero-shot", "bbt", "craft"),
    "robustness": ("zero-shot", "coop-4", "coop-16", "craft"),
    "ablation_components": ("zero-shot", "bbt", "refine", "alternate", "sequential", "craft"),
    "efficiency": ("zero-shot", "coop-16", "craft"),
    "ablation_residual": ("no-residual", "linear", "craft"),
    "blackbox_assumptions": ("lfa", "cbbt", "bpt-vlm", "craft"),
    "blackbox_methods": ("bbt", "blackvip", "bpt-vlm", "craft", "craft-vp"),
    "training_time": ("bbt", "blackvip", "bpt-vlm", "craft", "craft-vp"),
}


@dataclass(frozen=True)
class Method:
    """A row (or column) of a table that compares methods: one of the suite, or a printed one."""

    id: str
    label: str
    run: bool  # whether a method of the suite has this id

    @property
    def heading(self) -> str:
        """Printed name, which says so where the method is not run."""
        return self.label if self.run else f"{self.label} (not run)"


def ordered_methods(design: Design, artefact: str) -> tuple[str, ...]:
    """Method ids of a table's rows in the paper's order, further ones after those."""
    return _ordered(design.methods(artefact), artefact)


def compared_methods(
    design: Design, artefact: str, published: Published, backbone: str
) -> tuple[Method, ...]:
    """The methods of a table in the paper's order, those that it prints and the suite lacks too."""
    methods = design.methods(artefact)
    every = _ordered((*methods, *published.methods(backbone)), artefact)
    return tuple(
        Method(
            method, design.label(method) if method in methods else NAMES[method], method in methods
        )
        for method in every
    )


def _ordered(methods: Sequence[str], artefact: str) -> tuple[str, ...]:
    known = tuple(method for method in ORDER[artefact] if method in methods)
    return tuple(dict.fromkeys((*known, *methods)))


def only_shots(design: Design, artefact: str) -> int:
    """The shot number of an artefact that has one; raises ValueError when it has several."""
    shots = tuple(design.config["artefacts"][artefact]["shots"])
    if len(shots) != 1:
        raise ValueError(f"{artefact} shows one shot number; the config gives {list(shots)}")
    return shots[0]


def dataset_label(design: Design, dataset: str) -> str:
    """Printed name of a data set."""
    return design.config["facts"][dataset].get("label") or dataset


def backbone_label(design: Design, backbone: str) -> str:
    """Printed name of a backbone."""
    return design.config["backbone_facts"][backbone].get("label") or backbone


def where(design: Design, artefact: str, backbone: str) -> tuple[str, ...]:
    """The stub entry that names a row's backbone: only where there is a choice."""
    return (backbone_label(design, backbone),) if len(design.backbones(artefact)) > 1 else ()


def where_heading(design: Design, artefact: str) -> tuple[str, ...]:
    """Its heading."""
    return (BACKBONE,) if len(design.backbones(artefact)) > 1 else ()


def only_backbone(design: Design, artefact: str) -> str:
    """How a caption names the backbone, where no column does."""
    backbones = design.backbones(artefact)
    return "" if len(backbones) > 1 else f"{backbone_label(design, backbones[0])}, "


def seeds_phrase(design: Design, artefact: str) -> str:
    """How a caption says what the numbers are."""
    number = len(design.seeds)
    but = " (one run for zero-shot)" if ZERO_SHOT in design.methods(artefact) else ""
    if number == 1:
        return "One seed."
    return f"Mean ± sample standard deviation over {number} seeds{but}."


def shift_label(design: Design, target: str) -> str:
    """Short name of a target: what it adds to the source's name ("-V2"), as the paper prints it."""
    source = dataset_label(design, design.config["shift"]["source"])
    label = dataset_label(design, target)
    rest = label.removeprefix(source).lstrip("- ")
    return f"-{rest}" if rest and rest != label else label
