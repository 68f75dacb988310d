"""Tables in LaTeX, compiled where pdflatex is: none wider or higher than a two-column page."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from craft.config.load import load
from craft.design.artefacts import ARTEFACTS, tables
from craft.design.runs import Design, Run
from craft.report.tables.latex import latex
from craft.report.tables.latex_text import broken, escaped, width, words
from craft.report.tables.table import Cell, Column, Row, Table
from tests.unit.synthetic_scores import CRAFT, config, seeds_apart, table, write_scores

ROOT = Path(__file__).resolve().parents[2]
NAMES = [each.name for each in tables()]
compiles = pytest.mark.skipif(
    not shutil.which("pdflatex"), reason="pdflatex is not installed (Debian: texlive-latex-base)"
)


def compiled(folder: Path, texts: list[str]) -> str:
    """The log of a two-column article that holds tables and nothing else."""
    preamble = [r"\documentclass[twocolumn]{article}", r"\usepackage{booktabs}"]
    body = [f"{text}\n\\clearpage" for text in texts]
    lines = [*preamble, r"\begin{document}", *body, r"\end{document}"]
    (folder / "page.tex").write_text("\n".join(lines), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def fits(log: str) -> bool:
    wrong = re.findall(r"Overfull .*|.*Float too large.*", log)
    assert not wrong
    return True


def accuracy(run: Run, test_set: str) -> float:
    """Numbers of five digits, and deviations of four."""
    return 60.0 + 9.87 * run.seed + len(run.folder + test_set) % 7


@compiles
@pytest.mark.parametrize("suite", ["mini", "config"])
def test_every_table_of_a_suite_fits_a_two_column_page(tmp_path: Path, suite: str) -> None:
    value = load(ROOT / f"config/{suite}.yaml", ROOT) | {"results": str(tmp_path), "seeds": [1, 2]}
    artefacts = {name: spec for name, spec in value["artefacts"].items() if name in NAMES}
    design = Design(value | {"artefacts": artefacts})
    assert set(design.artefacts()) == set(NAMES)
    write_scores(design, accuracy)
    made = [table(design, name, ROOT / "config/published") for name in NAMES]
    assert any(each.has_published() for each in made) == (suite == "config")
    assert fits(compiled(tmp_path, list(map(latex, made))))


@compiles
def test_tables_of_many_data_sets_and_long_names_fit(tmp_path: Path) -> None:
    names = [f"d{n}" for n in range(40)]
    labels = [
        "of-one-word/" * 4,
        "Pneumonoultramicroscopicsilicovolcanoconiosis",
        r'50% & "$x_1$" \foo',
    ]
    facts = {
        name: {"label": labels[n % 3], "counts": {"classes": 2}, "task": "to tell much apart " * 9}
        for n, name in enumerate(names)
    }
    methods = {
        f"m{n}": {"learner": CRAFT, "label": "a method of a long name " * 3} for n in range(30)
    }
    value = config(
        tmp_path,
        datasets=names,
        facts=facts,
        methods=methods,
        shift=None,
        seeds=[1],
        backbones=["rn"],
        artefacts={"architectures": {"shots": [16]}, "dataset_statistics": {}},
    )
    design = Design(value)
    write_scores(design, seeds_apart, skip=lambda run: run.method > "m1")
    assert fits(compiled(tmp_path, [latex(table(design, name)) for name in design.artefacts()]))


def grid(columns: int, rows: int = 1, value: float = 71.22) -> Table:
    cells = tuple(Cell(value, 1.23, 3, 3, published=70.0) for _ in range(columns))
    return Table(
        ARTEFACTS["architectures"],
        "own",
        "A caption.",
        ("Method",),
        tuple(Column(str(n), f"Column {n}") for n in range(columns)),
        tuple(Row({"method": str(n)}, (f"Method {n}",), cells) for n in range(rows)),
    )


def shape(text: str) -> tuple[int, int]:
    """Numbers of floats and of tabulars."""
    return text.count(r"\begin{table*}"), text.count(r"\begin{tabular}")


def test_columns_that_do_not_fit_stand_below_each_other() -> None:
    assert shape(latex(grid(5))) == (1, 1)
    wide = latex(grid(12))
    assert shape(wide) == (1, 2)
    assert wide.count("Method 0") == 2 and wide.count(r"\textit{published}") == 2
    assert all(wide.count(f"Column {n}}}") == 1 for n in range(12))


def test_rows_that_do_not_fit_a_page_go_on_in_a_further_float() -> None:
    text = latex(grid(5, rows=60))
    assert shape(text) == (3, 3)
    assert text.count(r"\addtocounter{table}{-1}") == text.count("(continued)") == 2
    assert [text.count(f"Method {n} ") for n in range(60)] == [1] * 60
    assert text.count(r"\caption{A caption.}") == text.count(r"\label{tab:architectures}") == 1


def test_every_line_has_a_cell_for_each_column() -> None:
    for made in (grid(5), grid(12), grid(5, rows=60)):
        for alignment, body in re.findall(
            r"\\begin\{tabular\}\{@\{\}(.*?)@\{\}\}(.*?)\\end\{tabular\}", latex(made), re.S
        ):
            count = len(re.sub(r"p\{[\d.]+pt\}", "p", alignment))
            lines = [line for line in body.splitlines() if line.endswith(r"\tabularnewline")]
            assert lines
            assert {line.count("&") + 1 for line in lines} == {count}


def test_it_needs_booktabs_and_nothing_else() -> None:
    assert not re.search(r"\\usepackage|resizebox|multirow|checkmark", latex(grid(12)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a_b & 50% #1 {x}", r"a\_b \& 50\% \#1 \{x\}"),
        (r"$y ~ ^ \z", r"\$y \textasciitilde{} \textasciicircum{} \textbackslash{}z"),
        ("70 < 72 ± 1", r"70 $<$ 72 $\pm$ 1"),
    ],
)
def test_special_characters_are_printed(text: str, expected: str) -> None:
    assert escaped(text) == words(text) == expected


def test_long_words_break_at_their_joints() -> None:
    assert broken("FGVCAircraft craft/RN50/DTD") == ["FGVCAircraft", "craft/", "RN50/", "DTD"]
    assert words("StanfordCars") == r"Stanford\allowbreak{}Cars"
    assert words("a-long-enough-word") == "a-long-enough-word"  # TeX breaks behind hyphens
    assert max(map(len, broken("x" * 100))) <= 16


def test_widths_follow_the_characters() -> None:
    def em(text: str) -> Any:
        return width(text, 1.0)

    assert em("i") < em("1") < em("n") < em("W")
    assert em("71.22") == pytest.approx(4 * 0.5 + 0.31)
