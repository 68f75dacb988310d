from __future__ import annotations

from pathlib import Path

from craft.runtime.failures import summary


def test_a_failed_job_is_named_by_rule_wildcards_log_and_error(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text("at work\nerror: out of luck\n")
    wildcards = {"method": "bbt", "dataset": "digits"}
    assert list(summary([("fit", wildcards, [str(log)])], 7)) == [
        "1 of 7 jobs failed:",
        f"- fit (method=bbt, dataset=digits): {log}: error: out of luck",
    ]


def test_a_job_without_a_word_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()
    logs = [[str(tmp_path / "empty.log")], [str(tmp_path / "missing.log")], []]
    lines = list(summary([(f"rule{n}", {}, paths) for n, paths in enumerate(logs)], 3))
    assert "empty" in lines[1] and "No such file" in lines[2] and lines[3] == "- rule2"


def test_many_failures_are_counted(tmp_path: Path) -> None:
    lines = list(summary([("fit", {"seed": str(n)}, []) for n in range(1000)], 2000))
    assert lines[0] == "1000 of 2000 jobs failed:"
    assert len(lines) == 22 and lines[-1] == "- and 980 more"
