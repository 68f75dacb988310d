"""Snakemake with its jobs as data: ``python tests/pipeline/jobs.py ARGUMENTS``, a line for each.

Of a job that has a message Snakemake prints that and neither threads nor resources.
"""

from __future__ import annotations

import json
import logging
import sys

from snakemake.cli import main
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

MARK = "JOB "


def tell(record: logging.LogRecord) -> bool:
    """Print what a record says of a job; a filter, as Snakemake takes foreign handlers away."""
    if getattr(record, "event", None) == LogEvent.JOB_INFO:
        facts = {"rule": record.rule_name, "threads": record.threads, "command": record.shellcmd}
        facts["wildcards"] = dict(record.wildcards or {})
        resources = {"resources": dict(record.resources.items())}
        print(MARK + json.dumps(facts | resources, default=str))
    return True


if __name__ == "__main__":
    logger.addFilter(tell)
    main(sys.argv[1:])
