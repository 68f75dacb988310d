"""The tables and figures of the paper: where it prints each, its rows, columns and captions."""

from __future__ import annotations

from craft.design.artefact import MEANS, Artefact

#: What the report says of times and memory.
MACHINE = (
    "*Times and memory are of the machine that ran the fits*, which the caption and "
    "``measured_on`` name: run again, this table has other numbers."
)

_TABLES = "craft.report.tables."

#: In the order of print.
PAPER: tuple[Artefact, ...] = (
    Artefact(
        name="architectures",
        kind="table",
        place="Table 1",
        title="architectures",
        rows="methods",
        columns="data sets",
        shots="one",
        make=_TABLES + "comparisons:comparison",
        order=("zero-shot", "bbt", "craft"),
        caption="Accuracy (%) with different visual architectures, {backbone}{shots} shots. "
        "{seeds}",
        about="Accuracy (%) of each method on each backbone. ``Average`` is over the data sets.\n\n"
        + MEANS,
    ),
    Artefact(
        name="robustness",
        kind="table",
        place="Table 2",
        title="robustness to distribution shift",
        rows="methods",
        columns="test sets",
        shots="one",
        shifted=True,
        marks=("Black-Box",),
        make=_TABLES + "comparisons:comparison",
        order=("zero-shot", "coop-4", "coop-16", "craft"),
        caption="Accuracy (%) under distribution shift: trained on {datasets} with {shots} shots, "
        "tested on it and on shifted test sets{averaged}. {seeds}",
        about="Trained on one data set, tested on it and, unchanged, on shifted test sets. "
        "``Average`` is over these targets, without the source. ``black_box`` is what the run's "
        "record says of the method's access.\n\n" + MEANS,
    ),
    Artefact(
        name="ablation_components",
        kind="table",
        place="Table 3",
        title="components",
        rows="methods",
        columns="shots",
        shots="several",
        marks=("PG", "PR", "Co"),
        make=_TABLES + "comparisons:comparison",
        order=("zero-shot", "bbt", "refine", "alternate", "sequential", "craft"),
        caption="Effectiveness of the components (PG: prompt generation, PR: prediction "
        "refinement, Co: collaborative training): {backbone}{accuracy} by shots. {seeds}",
        about="Accuracy (%), averaged over the data sets, by shots per class, with and without "
        "prompt generation (``pg``), prediction refinement (``pr``) and collaborative training "
        "(``co``). The paper does not say how both modules are trained without collaboration: the "
        "suite has two readings, alternating without the consistency terms, and one module after "
        "the other.\n\n" + MEANS,
    ),
    Artefact(
        name="efficiency",
        kind="table",
        place="Table 4",
        title="efficiency",
        rows="methods",
        shots="one",
        measured=True,
        marks=("Black-Box",),
        make=_TABLES + "costs:efficiency",
        order=("zero-shot", "coop-16", "craft"),
        caption="Efficiency, {backbone}{datasets}, {shots} shots. Deployment: what a user of the "
        "method holds, its own parameters and, with white-box access, the model too (fp32). Peak "
        "memory: of the whole process in training, with the black box and the libraries in it; of "
        "its tensors on the GPU. Prediction: from cached image features. {seeds} {machines}",
        about=f"Accuracy (%), access, and what training and deployment take. {MACHINE}\n\n"
        "- ``training_seconds``: wall time of the fit. Images are encoded before it, unless a "
        "method uploads or prompts them during it.\n"
        "- ``peak_memory_mb``: largest resident set of the whole process during the run, with the "
        "black box in it. ``peak_device_memory_mb``: of its tensors on the GPU, 0 on the CPU.\n"
        "- ``parameters`` and ``deployed_mb``: what a user holds to use the method, its own "
        "parameters and, with white-box access, the model's (fp32). ``deployed_percent`` is of "
        "what the white-box method deploys.\n"
        "- ``prediction_us``: wall time per test image, from cached image features.\n"
        "- ``queries_...``: contexts scored on a set of images, by purpose.\n\n"
        "The numbers come from the run records. Snakemake's benchmark files are not read: such a "
        "file is of a job, which may hold several runs, counts the start of Python, and after a "
        "kill has the last attempt only.\n\n" + MEANS,
        about_paper="\n\nThe paper's 1/80 of memory is 1.25 % in ``deployed_percent`` and no ratio "
        "of peak memories; it counts the queries of the search.",
    ),
    *(
        Artefact(
            name=f"ablation_{option}",
            kind="table",
            place=place,
            title=f"weight of the consistency term in {role} (Eq. {equation})",
            rows="values",
            columns="values",
            shots="one",
            make=_TABLES + "comparisons:sweep",
            caption=f"Sensitivity to {symbol}, the weight of the consistency term in {role}: "
            "{backbone}{datasets}, {shots} shots, accuracy (%). {seeds}",
            about=f"Accuracy (%) of the method for each value of ``{option}``. The other weight "
            "keeps its default, 0.1 divided by the number of classes.\n\n" + MEANS,
        )
        for option, symbol, place, role, equation in (
            ("lambda1", "λ₁", "Table 5", "prompt generation", 5),
            ("lambda2", "λ₂", "Table 6", "prediction refinement", 6),
        )
    ),
    Artefact(
        name="ablation_residual",
        kind="table",
        place="Table 7",
        title="refinement network",
        rows="methods",
        columns="shots",
        shots="several",
        marks=("Residual", "Arch."),
        make=_TABLES + "comparisons:comparison",
        order=("no-residual", "linear", "craft"),
        caption="Ablation of the refinement network: {backbone}{accuracy} by shots. {seeds}",
        about="Accuracy (%), averaged over the data sets, by shots per class: the refiner without "
        "the shortcut that adds its output to the black box's (``residual``), and as a linear map "
        "instead of an MLP (``arch``).\n\n" + MEANS,
    ),
    Artefact(
        name="blackbox_assumptions",
        kind="table",
        place="Table 8",
        title="black-box assumptions",
        rows="methods",
        shots="several",
        make=_TABLES + "assumptions:blackbox_assumptions",
        order=("lfa", "cbbt", "bpt-vlm", "craft"),
        caption="What a method assumes of the model, by what its runs were given and record"
        "{quoted}. Queries are contexts scored on a set of images; the paper counts those of the "
        "search. Image encodings of a run include the test images.",
        about="What a method assumes of the model: both towers apart, a kind of network, access to "
        "more than predictions. For methods of the suite it follows from the box that their runs "
        "were given and from what they record; the queries are contexts scored on a set of images, "
        "by purpose.\n\nEach row of the CSV is a cell of the printed table: ``value``, "
        "``published``, whether the words differ (``difference``), and a ``note`` on what was not "
        "run or is missing.",
        about_paper="For the other methods it is quoted from the paper (``published``).",
    ),
    Artefact(
        name="blackbox_methods",
        kind="table",
        place="Table 9",
        title="black-box methods",
        rows="methods",
        columns="data sets",
        shots="one",
        make=_TABLES + "comparisons:comparison",
        marks=("Search queries", "Image encodings"),
        order=("bbt", "blackvip", "bpt-vlm", "craft", "craft-vp"),
        caption="Accuracy (%) of black-box methods, {backbone}{shots} shots. Image encodings of a "
        "run include the test images. {seeds}",
        about="Accuracy (%) of black-box methods, and what a run of each asks of the service: "
        "search queries and image encodings, those of the test images too. ``Average`` is over the "
        "data sets; a method that is run on some of them has none.\n\n" + MEANS,
        about_paper="Methods that are not run here have empty cells beside their published "
        "numbers.",
    ),
    Artefact(
        name="training_time",
        kind="table",
        place="Table 10",
        title="training time",
        rows="methods",
        shots="one",
        measured=True,
        make=_TABLES + "costs:training_time",
        order=("bbt", "blackvip", "bpt-vlm", "craft", "craft-vp"),
        caption="Training time ({unit}), {backbone}{shots} shots: wall time of the fit alone. "
        "{encoding} A run took: {work}. {seeds} {machines}",
        about="Wall time of the fits on each data set and their sum; the CSV has seconds. A method "
        "that uploads or prompts images has them encoded during its fit, and its time includes "
        "that. The others take features that are encoded once, before any fit; their time "
        f"excludes it. {MACHINE}\n\n{MEANS}",
        about_paper="What the paper prints of methods that are not run here stands beside empty "
        "cells; it was measured on the authors' machine.",
    ),
    Artefact(
        name="dataset_statistics",
        kind="table",
        place="Table 11",
        title="data sets",
        rows="data sets",
        shots="none",
        make=_TABLES + "dataset_statistics:dataset_statistics",
        caption="Statistics of the data sets, counted in their manifests.",
        about="Classes, training images and test images, counted in the manifests that the runs "
        "used; few-shot sets are drawn from the training images. Each row of the CSV is one count, "
        "with the published one and the difference where the paper has it. Shifted test sets have "
        "no training images.",
    ),
    Artefact(
        name="few_shot_curves",
        kind="figure",
        place="Figure 2",
        title="few-shot curves",
        rows="methods",
        shots="several",
        make="craft.report.figures.few_shot_curves:panels",
        about="Accuracy (%) against shots per class (log scale): means over seeds, error bars of "
        "one sample standard deviation. The star and the dotted line are zero-shot. ``Average`` is "
        "over the data sets. A gap is a missing run, named in its panel.",
        about_paper="Dashed lines are the published curves.",
    ),
    Artefact(
        name="query_efficiency",
        kind="figure",
        place="Figure 3",
        title="query efficiency",
        rows="methods",
        shots="one",
        curve=True,
        make="craft.report.figures.query_efficiency:panels",
        about="Accuracy (%) against the queries that the search has spent: mean and band of one "
        "sample standard deviation over seeds. Methods that spend no query are dashed levels.",
        about_paper="The open circle is the published end point; the paper's curve is not "
        "available as numbers.",
    ),
)
