"""Options classes by the learner's name; for shipped learners without importing the learner."""

from __future__ import annotations

import functools

from craft.learner.lookup import LearnerError, load, load_learner
from craft.learner.options import Options

#: Shipped learner -> its options class, so that planning does not import torch, as importing a
#: learner does. Any other learner is imported for its options.
SHIPPED = {
    "craft.learner.collaborative:Collaborative": "craft.learner.options:Options",
    "craft.learner.prompt_only:PromptOnly": "craft.learner.options:Options",
    "craft.learner.refine_only:RefineOnly": "craft.learner.options:Options",
    "craft.learner.sequential:Sequential": "craft.learner.options:Options",
    "craft.learner.zero_shot:ZeroShot": "craft.learner.options:Options",
    "craft.learner.yu:Yu": "craft.learner.yu_options:YuOptions",
    "craft.learner.lfa:LFA": "craft.learner.feature_options:LFAOptions",
    "craft.learner.cbbt:CBBT": "craft.learner.feature_options:CBBTOptions",
    "craft.learner.blackvip:BlackVIP": "craft.learner.blackvip_options:BlackVIPOptions",
    "craft.learner.text_probe:TextProbe": "craft.learner.probe_options:TextProbeOptions",
    "craft.learner.zip:ZIP": "craft.learner.zip_options:ZIPOptions",
    "craft.learner.gda:GDA": "craft.learner.classifier_options:GDAOptions",
    "craft.learner.clap:CLAP": "craft.learner.classifier_options:CLAPOptions",
    "craft.learner.probe:Probe": "craft.learner.probe_options:ProbeOptions",
    "craft.learner.gauss_newton:GaussNewton": (
        "craft.learner.gauss_newton_options:GaussNewtonOptions"
    ),
    "craft.whitebox.coop:CoOp": "craft.whitebox.coop_options:CoOpOptions",
}


@functools.cache
def options_of(learner: str) -> type[Options]:
    """Return the options class of a learner ``module:Class``; raises LearnerError."""
    found = load(SHIPPED[learner]) if learner in SHIPPED else load_learner(learner).Options
    try:
        found.types()
    except TypeError as error:
        raise LearnerError(learner, str(error)) from error
    return found
