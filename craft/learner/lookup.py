"""Learners by name, ``module:Class``."""

from __future__ import annotations

import difflib
import importlib
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from craft.learner.base import Learner


class LearnerError(ValueError):
    """A name that does not lead to a learner, or a learner with invalid declarations."""

    def __init__(self, name: str, why: str) -> None:
        self.why = why
        super().__init__(f"expected module:Class of a learner, got {name!r}: {why}")


def load_learner(name: str) -> type[Learner]:
    """Return the learner class named ``module:Class``; raises LearnerError."""
    from craft.learner.base import Learner

    found = load(name)
    if not (isinstance(found, type) and issubclass(found, Learner)):
        raise LearnerError(name, "it does not derive from craft.learner.base.Learner")
    if inspect.isabstract(found):
        raise LearnerError(name, f"it has no method {', '.join(sorted(found.__abstractmethods__))}")
    return found


def load(name: str) -> Any:
    """Return the object named ``module:Class``; raises LearnerError."""
    module, _, attribute = name.partition(":")
    try:
        loaded = importlib.import_module(module)
    except Exception as error:  # a module of the user's own may raise anything
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise LearnerError(name, f"there is no module {error.name}") from None
        raise LearnerError(
            name, f"importing {module} raised {type(error).__name__}: {error}"
        ) from error
    if not hasattr(loaded, attribute):
        classes = [entry for entry, value in vars(loaded).items() if isinstance(value, type)]
        near = difflib.get_close_matches(attribute, classes, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise LearnerError(name, f"{module} has no {attribute}{hint}")
    return getattr(loaded, attribute)
