"""Tables and figures that the paper does not have."""

from __future__ import annotations

from craft.design.artefact import MEANS, Artefact

_TABLES = "craft.report.tables."

#: In the order of print.
OWN: tuple[Artefact, ...] = (
    Artefact(
        name="discrepancies",
        kind="table",
        place="",
        title="paper mode against released mode, and each difference between them alone",
        rows="differences",
        shots="one",
        make=_TABLES + "discrepancies:discrepancies",
        caption="What the choices are worth in which the paper and its released code differ: "
        "{label} in both modes, then in paper mode with one difference at a time as the released "
        "code has it. {backbone}{shots} shots, accuracy (%) and its difference to paper mode, seed "
        "by seed. {seeds}",
        about="Accuracy (%): what the paper's text leaves open, or says otherwise than its "
        "authors' code, is changed one choice at a time on top of paper mode. ``docs/method.md`` "
        "says what each choice is.\n\n"
        + MEANS
        + " A column that ends in ``:minus-paper`` is the difference to paper mode, its ``std`` "
        "that of the differences seed by seed. Where a choice is the same in both modes on a data "
        "set, the ``note`` says so and the runs are those of paper mode.",
    ),
    Artefact(
        name="access",
        kind="table",
        place="",
        title="every method by access, queries and price",
        rows="methods",
        shots="one",
        shifted=True,
        priced=True,
        means=True,
        make=_TABLES + "access:access_table",
        order=("zero-shot", "bbt", "craft"),
        caption="What methods are given, what a fit asks of a service, and how good the answers "
        "are: {backbone}{datasets}, {shots} shots. Means over the data sets. Calibration error: "
        "expected, 15 bins. NLL: negative log-likelihood. {seeds}",
        about="Methods by access level. ``fit_queries`` are contexts asked for in a fit, those of "
        "search and refinement; ``fit_images_scored`` the images that a service scored for them, "
        "each as often as it did; ``fit_images_encoded`` those that it encoded, the test images "
        "aside; ``price`` what these cost by the suite's ``prices``. A method that uses weights "
        "asks no service. ``shift:source`` and ``shift:targets`` are accuracies of the learners "
        "that were trained on the shift's source, there and on its shifted test sets.\n\n" + MEANS,
        about_paper="``published`` are means over the eleven data sets as methods' authors print "
        "them; a note says by which protocol.",
    ),
    Artefact(
        name="accuracy_by_queries",
        kind="figure",
        place="",
        title="accuracy by queries",
        rows="methods",
        shots="several",
        curve=True,
        means=True,
        make="craft.report.figures.accuracy_by_queries:panels",
        about="Accuracy (%), averaged over the data sets, against the queries of a fit, those of "
        "its search and of its refinement (in proportion along a curve), on a logarithmic axis; "
        "error bars of one sample standard deviation at the end. A method has its end alone where "
        "its runs were scored after different numbers of queries. Dotted levels need no query.",
        about_paper="Open circles are published means.",
    ),
)
