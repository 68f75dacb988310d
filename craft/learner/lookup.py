"""Learners by name, ``module:Class``, and their options without the learner itself."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
from typing import TYPE_CHECKING, Any

from craft.learner.options import Options

if TYPE_CHECKING:
    from craft.learner.base import Learner

#: Learner that ships -> its options, so that a suite of these is planned without torch, which
#: importing a learner brings along. Any other learner is imported for its options.
SHIPPED = {
    "craft.learner.collaborative:Collaborative": "craft.learner.options:Options",
    "craft.learner.prompt_only:PromptOnly": "craft.learner.options:Options",
    "craft.learner.refine_only:RefineOnly": "craft.learner.options:Options",
    "craft.learner.sequential:Sequential": "craft.learner.options:Options",
    "craft.learner.zero_shot:ZeroShot": "craft.learner.options:Options",
    "craft.whitebox.coop:CoOp": "craft.whitebox.options:CoOpOptions",
}


class LearnerError(ValueError):
    """A name that is no learner's, or a learner whose options are declared wrong."""


def load_learner(name: str) -> type[Learner]:
    """Return the class named ``module:Class``; raises LearnerError for anything but a learner."""
    from craft.learner.base import Learner

    found = _load(name)
    if not (isinstance(found, type) and issubclass(found, Learner)):
        raise _error(name, "it does not derive from craft.learner.base.Learner")
    if inspect.isabstract(found):
        raise _error(name, f"it has no method {', '.join(sorted(found.__abstractmethods__))}")
    return found


@functools.cache
def options_of(learner: str) -> type[Options]:
    """Return the options class of a learner ``module:Class``; raises LearnerError."""
    found = _load(SHIPPED[learner]) if learner in SHIPPED else load_learner(learner).Options
    try:
        found.types()
    except TypeError as error:
        raise _error(learner, str(error)) from error
    return found


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        loaded = importlib.import_module(module)
    except Exception as error:  # a module of the user's own may raise anything
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise _error(name, f"there is no module {error.name}") from None
        raise _error(name, f"importing {module} raised {type(error).__name__}: {error}") from error
    if not hasattr(loaded, attribute):
        classes = [entry for entry, value in vars(loaded).items() if isinstance(value, type)]
        near = difflib.get_close_matches(attribute, classes, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise _error(name, f"{module} has no {attribute}{hint}")
    return getattr(loaded, attribute)


def _error(name: str, why: str) -> LearnerError:
    return LearnerError(f"expected module:Class of a learner, got {name!r}: {why}")
