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
        title="paper mode, released mode, and each difference alone",
        rows="differences",
        shots="one",
        make=_TABLES + "discrepancies:discrepancies",
        caption="Effect of each choice on which the paper and its released code differ: {label} in "
        "both modes, then in paper mode with one choice at a time taken from the released code. "
        "{backbone}{shots} shots, accuracy (%) and its difference from paper mode, paired by seed. "
        "{seeds}",
        about="Accuracy (%) in both modes, then in paper mode with one choice at a time taken from "
        "the released code, where the paper's text is silent or differs. ``docs/method.md`` "
        "explains each choice.\n\n"
        + MEANS
        + " A column that ends in ``:minus-paper`` is the difference from paper mode, and its "
        "``std`` the deviation of the differences, paired by seed. Where a choice is the same in "
        "both modes on a data set, the ``note`` says so and the runs are those of paper mode.",
    ),
    Artefact(
        name="access",
        kind="table",
        place="",
        title="methods by access, queries and price",
        rows="methods",
        shots="one",
        shifted=True,
        priced=True,
        means=True,
        make=_TABLES + "access:access_table",
        order=("zero-shot", "bbt", "craft"),
        caption="Methods by access level, the load of a fit on the service, and the quality of "
        "the answers: {backbone}{datasets}, {shots} shots. Means over the data sets. Calibration "
        "error: expected calibration error, 15 bins. NLL: negative log-likelihood. Prices are "
        "the suite's, of a fit without predictions. {seeds}",
        about="Methods by access level. A method that uses weights asks no service.\n\n"
        "- ``fit_queries``: contexts scored in a fit, for search and refinement.\n"
        "- ``fit_images_scored``: images that the service scored for them, each as often as it "
        "did.\n"
        "- ``fit_images_encoded``: images that it encoded, without the test images.\n"
        "- ``price``: the cost of these by the suite's ``prices``.\n"
        "- ``shift:source`` and ``shift:targets``: accuracies of the learners that were trained on "
        "the shift's source, there and on its shifted test sets.\n\n" + MEANS,
        about_paper="\n\n``published`` are means over the eleven data sets from the methods' "
        "authors; a note names the protocol.",
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
        about="Accuracy (%), averaged over the data sets, against the queries of a fit for search "
        "and refinement (in proportion along a curve), on a logarithmic axis. Error bars at the "
        "end are one sample standard deviation. A method whose runs were scored after different "
        "numbers of queries has its end alone. Dotted levels need no query.",
        about_paper="Open circles are published means.",
    ),
)
