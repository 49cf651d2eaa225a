"""The result of one benchmark."""

from dataclasses import dataclass, field

from benchmarks.measure import Goal


@dataclass(slots=True)
class Outcome:
    """The result of one benchmark; `failure` is None if it completed."""

    name: str
    about: str
    figures: dict[str, float] = field(default_factory=dict)
    goals: dict[str, Goal] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    failure: str | None = None

    @property
    def missed(self) -> list[str]:
        """Figures that miss their goal; a goal without a figure is missed as well."""
        return [name for name, goal in self.goals.items() if not goal.met(self.figures.get(name, float("nan")))]

    def verdict(self, figure: str, scale: float) -> str:
        """Whether a figure meets its goal; empty for a trial run."""
        if figure not in self.goals or scale != 1.0:
            return ""
        return "missed" if figure in self.missed else "met"
