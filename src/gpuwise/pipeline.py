"""The loop: observe, score, recommend, decide, enact, record."""

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from gpuwise.decide.decide import Decision, decide_checked
from gpuwise.decide.history import History
from gpuwise.decide.question import Situation
from gpuwise.decide.settings import DecideSettings
from gpuwise.finops import FinopsSettings, Period, Tags, daily_costs, days_of, past_nodes, remembered
from gpuwise.model.command import Command, Outcome
from gpuwise.model.errors import NotLeader
from gpuwise.model.inventory import Inventory, Node, Workload, node_ref
from gpuwise.model.packed import pack
from gpuwise.model.ports import (
    Checker,
    Checkpoints,
    Cite,
    Enactor,
    Executor,
    InventorySource,
    Leadership,
    Ledger,
    Profiles,
    UsageSource,
)
from gpuwise.model.price import PriceBook
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.usage import DAY_S, Window
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.plan import recommend
from gpuwise.recommend.selection import best_plan
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.node_types import with_measured_types
from gpuwise.score.profile import score_series
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.shard import Shard, facts, score_packed

HOUR_S = 3_600
_NEW_OBJECTS = 20_000
_YOUNG_COLLECTIONS = 1_000
Progress = Callable[[str, int, int], None]
"""Called with (step, done, total) as the loop progresses."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Settings of the steps of the loop."""

    cluster_name: str
    look_back_h: int
    step_s: int
    shard_workloads: int
    pass_interval_s: int = HOUR_S
    score: ScoreSettings = field(default_factory=ScoreSettings)
    recommend: RecommendSettings = field(default_factory=RecommendSettings)
    policy: DecideSettings = field(default_factory=DecideSettings)
    nodes: bool = False
    finops: FinopsSettings = field(default_factory=FinopsSettings)


@dataclass(frozen=True, slots=True)
class Survey:
    """The result of observing, scoring and recommending, before anything is decided.

    Attributes:
        window: the window that was read.
        inventory: the fleet.
        profiles: usage by workload.
        recommendations: the best plan, largest saving first.
        blocked: why methods recommend nothing.
        alternatives: further recommendations that are worth less and exclude one of the plan.
        selection: description of the selected workloads; None for the whole fleet.
        past: nodes that no longer exist.
        deleted_in: namespaces whose deleted workloads are selected, None for all.
    """

    window: Window
    inventory: Inventory
    profiles: Profiles
    recommendations: tuple[Recommendation, ...]
    blocked: tuple[Blocked, ...]
    alternatives: tuple[Recommendation, ...] = ()
    selection: str | None = None
    past: tuple[Node, ...] = ()
    deleted_in: frozenset[str] | None = None

    def only(self, chosen: Collection[Workload], selection: str, *, deleted_in: Iterable[str] = ()) -> "Survey":
        """Return the survey of some workloads. Nodes stay in the inventory; recommendations for nodes are removed.

        Args:
            chosen: workloads of the inventory.
            selection: description of the selection.
            deleted_in: namespaces whose deleted workloads are selected, too.
        """
        refs = {workload.ref for workload in chosen}
        return replace(
            self,
            inventory=replace(self.inventory, workloads=tuple(chosen)),
            recommendations=tuple(item for item in self.recommendations if item.workload in refs),
            blocked=tuple(item for item in self.blocked if item.workload in refs),
            alternatives=tuple(item for item in self.alternatives if item.workload in refs),
            selection=selection,
            deleted_in=frozenset(deleted_in),
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One pass of the loop.

    Attributes:
        survey: what was observed and recommended.
        decision: which recommendations became commands, and which were blocked.
        outcomes: outcomes of the commands.
    """

    survey: Survey
    decision: Decision
    outcomes: tuple[Outcome, ...]


Watch = Callable[[str], AbstractContextManager[object]]
"""Context manager around each step of the loop; it measures the step and counts its errors."""


def unwatched(_step: str) -> AbstractContextManager[object]:
    """Do not measure the steps."""
    return nullcontext()


def quiet(_step: str, _done: int, _total: int) -> None:
    """Do not report progress."""


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Look for cycles after 20,000 new objects instead of 700, and once only, in a step that keeps what it makes.

    The collector visits the inventory and all results again and again: 30 % of the time of `recommend` for 10,000
    workloads, 15 % of that of `score`. Here it visits no object that existed before the step, and each new one once. It
    finds two cycles for each Parquet file: with 20,000 new objects they take 20 MiB more until they are found, with
    50,000 80 MiB.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(_NEW_OBJECTS, before[0]) if before[0] else 0, _YOUNG_COLLECTIONS, before[2])
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The loop, with its ports.

    Attributes:
        inventory: source of the fleet.
        usage: source of the fleet's usage.
        prices: prices of GPU-hours.
        executor: runs the scoring tasks.
        profiles: returns an empty store for the profiles of one pass.
        ledger: record of runs, intents, outcomes and directives.
        settings: settings of the steps.
        checkpoints: hours stored between runs; None scores the whole window each time.
        enactor: the only writer to the cluster; None if nothing may be written, as with a recording.
        checker: finds what an enactor would refuse; None without a cluster.
        progress: called as the loop progresses.
        watch: context manager around each step, called with the step's name.
        clock: returns epoch seconds, read again before deciding; None uses the instant of the run.
        leadership: asked before anything is decided or recorded; None if there is no election.
    """

    inventory: InventorySource
    usage: UsageSource
    prices: PriceBook
    executor: Executor
    profiles: Callable[[], Profiles]
    ledger: Ledger
    settings: LoopSettings
    checkpoints: Checkpoints | None = None
    enactor: Enactor | None = None
    checker: Checker | None = None
    progress: Progress = quiet
    watch: Watch = unwatched
    clock: Callable[[], int] | None = None
    leadership: Leadership | None = None

    def run_once(self, now_s: int) -> Run:
        """Observe, score, recommend, decide, enact, record.

        Args:
            now_s: the instant of the run, epoch seconds.
        """
        survey = self.survey(now_s)
        if not self.leads():
            return Run(survey, Decision((), ()), ())
        with self.watch("decide"):
            decision = self.decide(survey, now_s)
        with self.watch("enact"):
            outcomes = self.enact(decision.commands)
        with self.watch("record"):
            self.record(survey, decision, now_s)
            self.record_costs(survey, now_s)
        return Run(survey, decision, outcomes)

    def leads(self) -> bool:
        """Return whether this process may write; a process that waits for its turn only surveys, for its page."""
        if self.leadership is None:
            return True
        try:
            self.leadership.epoch()
        except NotLeader:
            return False
        return True

    def survey(self, now_s: int) -> Survey:
        """Run the first half of the loop, which changes nothing: observe, score, recommend."""
        with self.watch("observe"):
            fleet = self.observe(now_s)
            past = self.past(fleet, self.window(now_s))
        with self.watch("score"):
            profiles = self.score(fleet, self.window(now_s), self.checkpoints, past)
            if self.checkpoints is not None:
                listed = [*(one.ref for one in fleet.workloads), *map(node_ref, fleet.nodes.values())]
                self.checkpoints.collect(listed, now_s=now_s)
            fleet = with_measured_types(fleet, profiles.billed)
        with self.watch("recommend"):
            return self.recommend(fleet, profiles, now_s, past)

    def window(self, now_s: int) -> Window:
        """Return the window that ends now. It starts at a midnight, so that whole days can be stored and dropped."""
        window = Window.ending(now_s, length_s=self.settings.look_back_h * HOUR_S, step_s=self.settings.step_s)
        return Window(window.start_s - window.start_s % DAY_S, window.end_s, window.step_s)

    def observe(self, now_s: int) -> Inventory:
        """Read the inventory; usage is read by the scoring tasks."""
        self.progress("observe", 0, 1)
        fleet = self.inventory.snapshot(now_s)
        self.ledger.belongs_to(fleet.cluster or self.settings.cluster_name)
        self.progress("observe", 1, 1)
        return fleet

    def past(self, fleet: Inventory, window: Window) -> tuple[Node, ...]:
        """Return the nodes that no longer exist: those that earlier runs saw, and those that metrics know."""
        return past_nodes(self.ledger.nodes(), fleet, self.usage.past_nodes(fleet, window))

    @rarely_collected()
    def score(
        self,
        fleet: Inventory,
        window: Window,
        checkpoints: Checkpoints | None = None,
        past: Sequence[Node] = (),
    ) -> Profiles:
        """Read and score every workload and node, shard by shard, on the executor.

        Args:
            fleet: the inventory.
            window: the window to read.
            checkpoints: hours stored by earlier runs; None reads and scores the whole window.
            past: nodes that no longer exist.
        """
        gone = {node.name: node for node in past if (node.gone_s or 0) > window.start_s} if past else {}
        fleet = replace(fleet, nodes=gone | dict(fleet.nodes)) if gone else fleet
        shards = _shards(fleet, self.settings.shard_workloads)
        work = partial(score_packed, self.usage, fleet, window, self.settings.score)
        profiles = self.profiles()
        kept = (_with_kept(shard, checkpoints) for shard in shards)
        for done, scored in enumerate(self.executor.map(work, kept, same=partial(facts, self.usage)), start=1):
            profiles.add(scored.profiles)
            if checkpoints is not None:
                checkpoints.save(scored.keep)
            self.progress("score", done, len(shards))
        for series in self.usage.read_deleted(fleet, window):
            profiles.add(pack([score_series(series, self.settings.score)]))
        return profiles

    @rarely_collected()
    def recommend(
        self,
        fleet: Inventory,
        profiles: Profiles,
        now_s: int,
        past: tuple[Node, ...] = (),
    ) -> Survey:
        """Find a recommendation for each workload, or why there is none."""
        earlier = (*self.ledger.recommendations(), *self.ledger.alternatives())
        whole = Fleet(
            fleet,
            profiles,
            self.prices,
            self.settings.recommend,
            now_s,
            past=past,
            pass_interval_s=self.settings.pass_interval_s,
            earlier=earlier,
            tags=Tags(self.settings.finops.tags),
        )
        advice = recommend(whole)
        window, found, also = self.window(now_s), advice.plan, advice.alternatives
        if found:
            cite, workloads = self.usage.cite(window), fleet.by_ref()
            found = tuple(_cited(item, workloads.get(item.workload), cite) for item in found)
            also = tuple(_cited(item, workloads.get(item.workload), cite) for item in also)
        self.progress("recommend", 1, 1)
        return Survey(window, fleet, profiles, found, advice.blocked, also, past=past)

    def decide(self, survey: Survey, now_s: int) -> Decision:
        """Apply policy, protections and budget, after resolving the intents that a crash left open (I8).

        Commands that the enactor would refuse are blocked here, by the same function, so that they use no budget.

        Args:
            survey: what was found.
            now_s: when the survey began, epoch seconds; the decision uses the clock, if there is one.
        """
        return decide_checked(
            survey.recommendations,
            self.situation(survey, now_s),
            alternatives=survey.alternatives,
            choose=best_plan,
            check=None if self.checker is None else self.checker.check,
        )

    def situation(self, survey: Survey, now_s: int) -> Situation:
        """Return all that a decision depends on besides the recommendations, after resolving open intents (I8).

        Args:
            survey: what was found.
            now_s: when the survey began, epoch seconds; the situation has the clock's time, if there is a clock.
        """
        self.ledger.check()
        if self.enactor is not None:
            self.enactor.recover()
            self.enactor.follow()
        fleet, at_s = self._fresh(survey.inventory, now_s)
        targets = {item.workload.uid for item in (*survey.recommendations, *survey.alternatives)}
        # Cool-down and breaker look at all attempts on a target, the budget at those of its window.
        attempts = self.ledger.attempts(since_s=at_s - self.settings.policy.longest_window_s, uids=targets)
        history = History(*attempts, self.ledger.directives())
        regions = self.settings.recommend.regions_by_data_class
        return Situation(fleet, history, self.settings.policy, at_s, regions=regions, nodes=self.settings.nodes)

    def _fresh(self, fleet: Inventory, now_s: int) -> tuple[Inventory, int]:
        """Return the fleet and the time of the decision; read the fleet again if scoring took too long."""
        if self.clock is None:
            return fleet, now_s
        at_s = self.clock()
        if at_s - fleet.taken_s > self.settings.policy.max_inventory_age_s:
            fleet = self.observe(at_s)
        return fleet, at_s

    def enact(self, commands: Sequence[Command]) -> tuple[Outcome, ...]:
        """Carry out the commands."""
        if not commands or self.enactor is None:
            return ()
        outcomes = tuple(self.enactor.enact(commands))
        self.progress("enact", len(outcomes), len(commands))
        return outcomes

    def follow(self) -> tuple[Outcome, ...]:
        """Check the effects that are being watched, between passes as well; the watches that ended."""
        if self.enactor is None:
            return ()
        self.enactor.recover()  # the check of a write whose response was lost would otherwise begin at the next pass
        return tuple(self.enactor.follow())

    def record(self, survey: Survey, decision: Decision, now_s: int) -> None:
        """Record what was found and blocked; the enactor has recorded intents and outcomes around each effect."""
        commanded = {(command.workload, command.change.kind) for command in decision.commands}
        blocked = [
            item
            for item in survey.blocked
            if item.reason is not Reason.BETTER_ALTERNATIVE or (item.workload, item.stage) not in commanded
        ]
        self.ledger.record_run(
            now_s,
            survey.recommendations,
            (*blocked, *decision.blocked),
            survey.alternatives,
            remembered(self.ledger.nodes(), survey.inventory, self.prices, survey.past),
            self.prices.version,
        )

    def record_costs(self, survey: Survey, now_s: int) -> None:
        """Add the days of a survey of the whole fleet to the cost history, those that it does not have in full yet."""
        history, whole = self.ledger.costs(), self.period(survey, now_s)
        start_s, end_s = whole.measured
        # The window of a week in another time zone begins within a UTC day, whose part would be stored as the day.
        start_s += -start_s % DAY_S
        closed = {day.day_s for day in history.days(start_s, end_s) if day.closed}
        open_s = [day.day_s for day in days_of(whole) if day.day_s not in closed and day.day_s >= start_s]
        if open_s:
            part = replace(whole, start_s=min(open_s))
            history.record(days_of(part), daily_costs(part))

    def period(self, survey: Survey, now_s: int) -> Period:
        """Return the input of the cost calculation: the use that a survey found, in its window.

        Args:
            survey: the findings.
            now_s: epoch seconds; later time is not counted.
        """
        return Period(
            with_measured_types(survey.inventory, survey.profiles.billed),
            survey.profiles.billed,
            self.prices,
            survey.window.start_s,
            survey.window.end_s,
            now_s,
            selection=survey.selection,
            listed=self.usage.lists_allocations,
            past=survey.past,
            deleted_in=survey.deleted_in,
            tags=Tags(self.settings.finops.tags),
            factors=self.settings.finops.factors(self.prices.kg_co2e_per_kwh),
        )


def _shards(fleet: Inventory, size: int) -> list[Shard]:
    nodes = tuple(fleet.nodes.values())
    return [
        *(Shard(fleet.workloads[i : i + size]) for i in range(0, len(fleet.workloads), size)),
        *(Shard((), nodes[i : i + size]) for i in range(0, len(nodes), size)),
    ]


def _cited(item: Recommendation, workload: Workload | None, cite: Cite) -> Recommendation:
    """Add to each number the query that returns its samples."""
    if workload is None:
        return item
    return replace(item, evidence=tuple(replace(one, query=cite(workload, one)) for one in item.evidence))


def _with_kept(shard: Shard, checkpoints: Checkpoints | None) -> Shard:
    if checkpoints is None:
        return shard
    return replace(shard, kept=checkpoints.load([*(one.ref for one in shard.workloads), *map(node_ref, shard.nodes)]))
