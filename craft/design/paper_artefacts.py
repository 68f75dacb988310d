"""The tables and figures of the paper: where it prints each, its rows, columns and captions."""

from __future__ import annotations

from craft.design.artefact import MEANS, Artefact

#: What the report says of times and memory.
MACHINE = (
    "*Times and memory depend on the machine that ran the fits*, which the caption and "
    "``measured_on`` name. They differ from one execution to the next."
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
        about="Accuracy (%) of learners that were trained on one data set, on its test set and on "
        "shifted test sets. ``Average`` is over these targets, without the source. ``black_box`` "
        "is the method's access, from the run's record.\n\n" + MEANS,
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
        "(``co``). The paper does not state how both modules are trained without collaboration. "
        "The suite has two readings: alternating without the consistency terms, and one module "
        "after the other.\n\n" + MEANS,
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
        caption="Efficiency, {backbone}{datasets}, {shots} shots. Deployment: the parameters that "
        "a user of the method holds, with white-box access the model's too (fp32). Peak memory: "
        "of the whole training process, black box and libraries included; of its tensors on the "
        "GPU. Prediction: from cached image features. {seeds} {machines}",
        about=f"Accuracy (%), access, and the cost of training and deployment. {MACHINE}\n\n"
        "- ``training_seconds``: wall time of the fit. It includes the encoding of images only for "
        "methods that upload or prompt them.\n"
        "- ``peak_memory_mb``: largest resident set of the whole process during the run, with the "
        "black box in it. ``peak_device_memory_mb``: of its tensors on the GPU, 0 on the CPU.\n"
        "- ``parameters``: the method's own. ``deployed_mb``: the memory of the parameters that a "
        "user holds, with white-box access the model's too (fp32). ``deployed_percent``: its share "
        "of what the white-box method deploys.\n"
        "- ``prediction_us``: wall time per test image, from cached image features.\n"
        "- ``queries_...``: contexts scored on a set of images, by purpose.\n\n"
        "The numbers come from the run records, not from Snakemake's benchmark files. Such a file "
        "covers a whole job, which may hold several runs, includes the start of Python, and has "
        "only the last attempt after a kill.\n\n" + MEANS,
        about_paper="\n\nThe paper's 1/80 of memory corresponds to 1.25 % in ``deployed_percent``; "
        "it is not a ratio of peak memories. The paper counts the queries of the search.",
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
        about="Accuracy (%), averaged over the data sets, by shots per class. One row removes the "
        "shortcut that adds the refiner's output to the black box's (``residual``); another makes "
        "the refiner a linear map instead of an MLP (``arch``).\n\n" + MEANS,
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
        caption="Assumptions of each method about the model, from its runs and their records"
        "{quoted}. Queries are contexts scored on a set of images; the paper counts those of the "
        "search. Image encodings of a run include its own test images.",
        about="Assumptions of each method about the model: separate towers, a kind of network, "
        "access to more than predictions. For methods of the suite they follow from the box that "
        "their runs were given and from the records. Queries are contexts scored on a set of "
        "images, by purpose.\n\nEach row of the CSV is a cell of the printed table: ``value``, "
        "``published``, whether the words differ (``difference``), and a ``note`` on missing runs.",
        about_paper="For other methods the table quotes the paper (``published``).",
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
        "run include its own test images. {given}{seeds}",
        about="Accuracy (%) of black-box methods, with the search queries and image encodings of a "
        "run, test images included. ``Average`` is over the data sets; a method that runs on only "
        "some of them has none.\n\n" + MEANS,
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
        "{encoding} Each run asked for: {work}. {seeds} {machines}",
        about="Wall time of the fits on each data set and their sum; the CSV has seconds. The time "
        "of a method that uploads or prompts images includes their encoding. The others take "
        f"features that are encoded once, before any fit. {MACHINE}\n\n{MEANS}",
        about_paper="Published times come from the authors' machine; methods that are not run here "
        "have empty cells beside them.",
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
        "used. Few-shot sets are drawn from the training images; shifted test sets have none. Each "
        "row of the CSV is one count, with the published count and the difference where the paper "
        "has it.",
    ),
    Artefact(
        name="few_shot_curves",
        kind="figure",
        place="Figure 2",
        title="few-shot curves",
        rows="methods",
        shots="several",
        make="craft.report.figures.few_shot_curves:panels",
        about="Accuracy (%) against shots per class (log scale): means over seeds, with error bars "
        "of one sample standard deviation. The star and the dotted line are zero-shot. ``Average`` "
        "is over the data sets. A gap marks a missing run, which its panel names.",
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
        about="Accuracy (%) against the queries spent by the search: mean over seeds, with a band "
        "of one sample standard deviation. Methods that spend no query are dashed levels.",
        about_paper="The open circle is the published end point; the paper's curve is not "
        "available as numbers.",
    ),
)
