"""Entry-point wrapper: expected errors and signals become one line and an exit status."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType

from craft.runtime.memory import out_of_memory
from craft.runtime.provenance import ROOT, code_hash
from craft.runtime.signals import ENDED, Ended, Signals


def run_command(main: Callable[[], None]) -> None:
    """Run a command's ``main``; a bad file, bad input or a full disk prints one line, status 1.

    SIGTERM and Ctrl-C also print one line, with status 75: the same command resumes when it runs
    again. A bug keeps its traceback.
    """
    use_utf8()
    try:
        with Signals():
            _require_planned_code()
            main()
    except Ended as signal:
        kept = getattr(signal, "__notes__", ())
        print("; ".join([f"ended by {signal}", *kept]), file=sys.stderr)
        raise SystemExit(ENDED) from None
    except Exception as error:
        if out_of_memory(error):
            raise SystemExit(
                f"error: out of memory ({type(error).__name__}: {error}); raise the job's mem_mb, "
                "or the limit of this process"
            ) from error
        if not _expected(error):
            raise
        # No traceback follows a SystemExit.
        raise SystemExit(f"error: {str(error).strip() or type(error).__name__}") from error


def use_utf8() -> None:
    """Restart this process in Python's UTF-8 mode, unless file names are UTF-8 already.

    Under another locale, Python decodes file names and text files in the locale's encoding, which
    would garble class names. Child processes inherit the mode.
    """
    if sys.getfilesystemencoding() != "utf-8":
        mode = ["-X", "utf8", *sys.orig_argv[1:]]
        os.execve(sys.executable, [sys.executable, *mode], os.environ | {"PYTHONUTF8": "1"})


class CodeError(RuntimeError):
    """This process runs other code than the planned one."""


def _require_planned_code() -> None:
    """Remove ``--code MODULE,...=HASH`` from the command line; raises CodeError for another hash.

    A job can find another copy of this package than Snakemake: on PYTHONPATH, in its environment,
    or on a node.
    """
    if "--code" not in sys.argv:
        return
    place = sys.argv.index("--code")
    modules, _, planned = sys.argv[place + 1].partition("=")
    del sys.argv[place : place + 2]
    if (found := code_hash(*modules.split(","))) != planned:
        raise CodeError(
            f"{modules}: expected the planned code {planned}, got {found} from {ROOT}; let jobs "
            "find the same craft package as Snakemake does (PYTHONPATH, environment)"
        )


def _expected(error: Exception) -> bool:
    """Return whether an error comes from the command's input or surroundings."""
    if isinstance(error, OSError | UnicodeDecodeError | json.JSONDecodeError):
        return True
    if _is_ours(type(error).__module__):
        return True
    # A value that our code refused; one that a library could not do with is a fault.
    return isinstance(error, ValueError) and _is_ours(_module(error.__traceback__))


def _is_ours(module: str) -> bool:
    return module == "__main__" or module.partition(".")[0] == "craft"


def _module(trace: TracebackType | None) -> str:
    """Name of the module in which an error was raised."""
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    return frames[-1].f_globals.get("__name__", "") if frames else ""
