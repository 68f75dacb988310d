# Further pages of the report: a front page, and one for each method.

PAGES = job(
    "craft.report.pages.__main__", *(each.module for each in figures() if each.name in ASKED)
)
# The front page shows the headline table and the table by access; a method's page shows its numbers
# in all tables that compare methods by accuracy.
FRONT_TABLES = [name for name in ("architectures", "access") if name in ASKED]
FRONT_FIGURES = [each.name for each in figures() if each.name in ASKED]
COMPARED = [
    each.name
    for each in tables()
    if each.name in ASKED and each.rows == "methods" and each.columns != "own"
]
SHOWN = [name for name in SUITE["methods"] if any(run.method == name for run in RUNS)]
OVERVIEW = f"{RESULTS}/{paths.OVERVIEW}"
METHOD_PAGES = [f"{RESULTS}/{paths.METHOD_PAGE.format(method=name)}" for name in SHOWN]
PRINTED = dict.fromkeys(
    path
    for name in FRONT_TABLES + FRONT_FIGURES
    for path in ARTEFACTS[name].printed_files(SUITE["published"])
)
PAGE_SOURCES = [
    ALL_RUNS,
    *expand(GATHERED, artefact=FRONT_TABLES + FRONT_FIGURES),
    *(f"{RESULTS}/{ARTEFACTS[name].files[0]}" for name in COMPARED),
    *PRINTED,
]
# Snakemake's report shows it if it exists.
config["front_page"] = OVERVIEW if os.path.exists(OVERVIEW) else None


rule write_pages:
    """Write the front page of the report and a page for each method."""
    input:
        sources=PAGE_SOURCES,
        current=current(OVERVIEW),
    output:
        overview=report(
            OVERVIEW,
            caption="../report/overview.rst",
            category="Overview",
            labels={"page": "Overview"},
        ),
        methods=[
            report(
                page,
                caption="../report/method.rst",
                category="Methods",
                labels={"method": SUITE["methods"][name].get("label", name)},
            )
            for name, page in zip(SHOWN, METHOD_PAGES)
        ],
    log:
        f"{LOGS}/write_pages/pages.log",
    benchmark:
        f"{BENCHMARKS}/write_pages/pages.tsv"
    # As in evaluate.smk: seconds of work.
    localrule: True
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        results=subpath(output.overview, ancestor=2),
        suite=SUITE["suite"],
        shown=SHOWN,
        tables=FRONT_TABLES,
        figures=FRONT_FIGURES,
        compared=COMPARED,
        published=["--published", SUITE["published"]] if SUITE["published"] else [],
        job=PAGES,
    message:
        "Write the front page of the report, and a page for each method"
    shell:
        "python -m craft.report.pages --results {params.results:q} --suite {params.suite:q}"
        " --methods {params.shown:q} --tables {params.tables:q} --figures {params.figures:q}"
        " --compared {params.compared:q} {params.published:q} {params.job:q} > {log:q} 2>&1"
