"""Snakemake without its start: forks of a process that has imported it, and nothing of ours.

``python -m snakemake`` imports for longer than most of what the tests ask of it takes.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path


@functools.cache
def _server() -> subprocess.Popen[str]:
    """One for all tests of this process; it ends with it, as its input does."""
    command = [sys.executable, "-P", __file__]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def snakemake(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[int, str]:
    """Exit status, and standard output and error, of Snakemake run in a folder."""
    with tempfile.NamedTemporaryFile("r") as output:
        request = [list(arguments), str(folder), dict(environment), output.name]
        print(json.dumps(request), file=_server().stdin, flush=True)
        status = int(_server().stdout.readline())
        return status, output.read()


def _serve() -> None:
    """Answer requests; return in a fork, which then is the Snakemake that was asked for."""
    for line in sys.stdin:
        arguments, folder, environment, output = json.loads(line)
        child = os.fork()
        if not child:
            sys.argv[1:] = arguments
            sys.path.insert(0, folder)  # as `python -m` does
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            nothing, said = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY)
            for stream, end in enumerate((nothing, said, said)):
                os.dup2(end, stream)
            os.close(nothing)
            os.close(said)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


if __name__ == "__main__":
    # What Snakemake imports in any case, some of it late.
    import jsonschema  # noqa: F401
    import numpy  # noqa: F401
    import snakemake.api
    import snakemake.report.html_reporter
    import snakemake.storage  # noqa: F401
    from snakemake.cli import main

    gc.freeze()  # no collection looks at it again in each fork
    _serve()
    main()
