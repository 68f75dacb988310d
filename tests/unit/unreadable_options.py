"""A learner whose option has an end that only running it would tell."""

from craft.learner.options import Options, option

MOST = 9


class Computed(Options):
    """Its ends cannot be read from the source."""

    steps: int = option(3, "steps", most=MOST)
