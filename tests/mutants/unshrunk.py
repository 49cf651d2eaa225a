"""A pytest plugin: Hypothesis stops at the first failing example, which is all that a killed mutant needs."""

from hypothesis import Phase, settings

settings.register_profile(
    "unshrunk", deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)
)
