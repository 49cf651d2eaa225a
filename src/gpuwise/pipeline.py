"""The loop: the table of contents of the product."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from gpuwise.decide.decide import Decision, Situation, blockers, decide
from gpuwise.decide.history import History
from gpuwise.decide.settings import DecideSettings
from gpuwise.finops import Period, compile_report
from gpuwise.model.command import Command, Outcome, OutcomeStatus
from gpuwise.model.inventory import Inventory, Workload, WorkloadRef, node_ref
from gpuwise.model.ports import Checker, Checkpoints, Cite, Enactor, Executor, InventorySource, Ledger, UsageSource
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import UsageProfile
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.report import Action, WeeklyReport
from gpuwise.model.usage import DAY_S, Window
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.plan import recommend
from gpuwise.recommend.selection import best_plan
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.shard import Shard, score_shard

HOUR_S = 3_600
Progress = Callable[[str, int, int], None]
"""Told (step, done, total) as the loop goes on."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """What the steps of the loop are told."""

    cluster_name: str
    look_back_h: int
    step_s: int
    shard_workloads: int
    score: ScoreSettings = field(default_factory=ScoreSettings)
    recommend: RecommendSettings = field(default_factory=RecommendSettings)
    policy: DecideSettings = field(default_factory=DecideSettings)


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen and what it means, before anything is decided.

    Attributes:
        window: what was looked at.
        inventory: the fleet.
        profiles: usage by workload.
        recommendations: the best plan, most expensive first.
        blocked: why the methods recommend nothing.
        alternatives: what else was found, of which each excludes a recommendation and is worth less.
        selection: which workloads it is of, for a person; None for the whole fleet.
    """

    window: Window
    inventory: Inventory
    profiles: Mapping[WorkloadRef, UsageProfile]
    recommendations: tuple[Recommendation, ...]
    blocked: tuple[Blocked, ...]
    alternatives: tuple[Recommendation, ...] = ()
    selection: str | None = None

    def only(self, chosen: Collection[Workload], selection: str) -> "Survey":
        """What was seen of some workloads: nodes stay as what they run on, and what is said about nodes goes.

        Args:
            chosen: workloads of the inventory.
            selection: which they are, for a person.
        """
        refs = {workload.ref for workload in chosen}
        return replace(
            self,
            inventory=replace(self.inventory, workloads=tuple(chosen)),
            recommendations=tuple(item for item in self.recommendations if item.workload in refs),
            blocked=tuple(item for item in self.blocked if item.workload in refs),
            alternatives=tuple(item for item in self.alternatives if item.workload in refs),
            selection=selection,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One pass of the loop.

    Attributes:
        survey: what was seen.
        decision: what was to be done, and what not.
        outcomes: what came of it.
    """

    survey: Survey
    decision: Decision
    outcomes: tuple[Outcome, ...]


Watch = Callable[[str], AbstractContextManager[object]]
"""Entered around each step of the loop: what times it and counts its errors."""


def unwatched(_step: str) -> AbstractContextManager[object]:
    """Nobody times the steps."""
    return nullcontext()


def quiet(_step: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The loop over its ports.

    Attributes:
        inventory: where the fleet is read.
        usage: where its usage is read.
        prices: what hours cost.
        executor: where scoring runs.
        ledger: what is remembered.
        settings: what the steps are told.
        checkpoints: hours kept from run to run; None scores the whole look-back each time.
        enactor: the only writer to the cluster; None where nothing may be written, as with a recording.
        checker: says what an enactor would refuse; None where there is no cluster to ask.
        progress: told how far it is.
        watch: entered around each step, by its name.
        clock: epoch seconds, read again before deciding; None stands still at the instant that is judged.
    """

    inventory: InventorySource
    usage: UsageSource
    prices: PriceBook
    executor: Executor
    ledger: Ledger
    settings: LoopSettings
    checkpoints: Checkpoints | None = None
    enactor: Enactor | None = None
    checker: Checker | None = None
    progress: Progress = quiet
    watch: Watch = unwatched
    clock: Callable[[], int] | None = None

    def run_once(self, now_s: int) -> Run:
        """Observe, score, recommend, decide, enact, record.

        Args:
            now_s: the instant it is judged at, epoch seconds.
        """
        survey = self.survey(now_s)
        with self.watch("decide"):
            decision = self.decide(survey, now_s)
        with self.watch("enact"):
            outcomes = self.enact(decision.commands)
        with self.watch("record"):
            self.record(survey, decision, now_s)
        return Run(survey, decision, outcomes)

    def survey(self, now_s: int) -> Survey:
        """The first half of the loop: look, judge, and touch nothing."""
        with self.watch("observe"):
            fleet = self.observe(now_s)
        with self.watch("score"):
            profiles = self.score(fleet, self.window(now_s), self.checkpoints)
        with self.watch("recommend"):
            return self.recommend(fleet, profiles, now_s)

    def window(self, now_s: int) -> Window:
        """The look-back that ends now, from a midnight on: days leave it as a whole, so they can be kept as a whole."""
        window = Window.ending(now_s, length_s=self.settings.look_back_h * HOUR_S, step_s=self.settings.step_s)
        return Window(window.start_s - window.start_s % DAY_S, window.end_s, window.step_s)

    def observe(self, now_s: int) -> Inventory:
        """Look at the fleet; usage is read where it is scored."""
        self.progress("observe", 0, 1)
        fleet = self.inventory.snapshot(now_s)
        self.progress("observe", 1, 1)
        return fleet

    def score(
        self, fleet: Inventory, window: Window, checkpoints: Checkpoints | None = None
    ) -> dict[WorkloadRef, UsageProfile]:
        """Read and score every workload and node, shard by shard, on the executor.

        Args:
            fleet: what there is.
            window: what to look at.
            checkpoints: what was kept of earlier runs; None reads and scores the whole window.
        """
        shards = _shards(fleet, self.settings.shard_workloads)
        work = partial(score_shard, self.usage, fleet, window, self.settings.score)
        profiles: dict[WorkloadRef, UsageProfile] = {}
        kept = (_with_kept(shard, checkpoints) for shard in shards)
        for done, scored in enumerate(self.executor.map(work, kept), start=1):
            profiles.update((one.profile.workload, one.profile) for one in scored)
            if checkpoints is not None:
                checkpoints.save({one.profile.workload: one.keep for one in scored})
            self.progress("score", done, len(shards))
        return profiles

    def recommend(self, fleet: Inventory, profiles: Mapping[WorkloadRef, UsageProfile], now_s: int) -> Survey:
        """Find what to do about each workload, or why nothing."""
        advice = recommend(Fleet(fleet, profiles, self.prices, self.settings.recommend, now_s))
        window, found, also = self.window(now_s), advice.plan, advice.alternatives
        if found:
            cite, workloads = self.usage.cite(window), fleet.by_ref()
            found = tuple(_cited(item, workloads.get(item.workload), cite) for item in found)
            also = tuple(_cited(item, workloads.get(item.workload), cite) for item in also)
        self.progress("recommend", 1, 1)
        return Survey(window, fleet, profiles, found, advice.blocked, also)

    def decide(self, survey: Survey, now_s: int) -> Decision:
        """Let policy, protections and the budget have their word, once what a crash left open is settled (I8).

        What the enactor would refuse is refused here, by the same function, and so takes no place in the budget.

        Args:
            survey: what was found.
            now_s: when it was looked at; the clock, if there is one, says when it is decided.
        """
        self.ledger.check()
        if self.enactor is not None:
            self.enactor.recover()
        history = History(self.ledger.intents(), self.ledger.outcomes(), self.ledger.directives())
        fleet, at_s = self._fresh(survey.inventory, now_s)
        refused: dict[str, Blocked] = {}
        asked: set[str] = set()
        while True:
            situation = Situation(fleet, history, self.settings.policy, at_s, refused)
            decision = decide(survey.recommendations, situation, alternatives=survey.alternatives, choose=best_plan)
            unasked = [one for one in decision.commands if one.recommendation_id not in asked]
            if self.checker is None or not unasked:
                return decision
            for command in unasked:
                asked.add(command.recommendation_id)
                if (blocked := self.checker.check(command)) is not None:
                    refused[command.recommendation_id] = blocked

    def _fresh(self, fleet: Inventory, now_s: int) -> tuple[Inventory, int]:
        """The fleet as it is when it is decided, and when that is: scoring a large one takes longer than it keeps."""
        if self.clock is None:
            return fleet, now_s
        at_s = self.clock()
        if at_s - fleet.taken_s > self.settings.policy.max_inventory_age_s:
            fleet = self.observe(at_s)
        return fleet, at_s

    def enact(self, commands: Sequence[Command]) -> tuple[Outcome, ...]:
        """Carry out what was decided."""
        if not commands or self.enactor is None:
            return ()
        outcomes = tuple(self.enactor.enact(commands))
        self.progress("enact", len(outcomes), len(commands))
        return outcomes

    def record(self, survey: Survey, decision: Decision, now_s: int) -> None:
        """Remember what was found and held; intents and outcomes were recorded around each effect."""
        commanded = {(command.workload, command.change.kind) for command in decision.commands}
        blocked = [
            item
            for item in survey.blocked
            if item.reason is not Reason.BETTER_ALTERNATIVE or (item.workload, item.stage) not in commanded
        ]
        self.ledger.record_run(now_s, survey.recommendations, (*blocked, *decision.blocked), survey.alternatives)

    def report(self, window: Window, *, week: str, now_s: int) -> WeeklyReport:
        """One week: its usage scored anew, and what the ledger says was found and done.

        Args:
            window: the week.
            week: its ISO name, "2026-W20".
            now_s: when it is made, epoch seconds.
        """
        fleet = self.observe(now_s)
        found, blocked = tuple(self._open()), tuple(self.ledger.blocked())
        return self.summary(Survey(window, fleet, self.score(fleet, window), found, blocked), week=week, now_s=now_s)

    def summary(self, survey: Survey, *, now_s: int, week: str | None = None) -> WeeklyReport:
        """What a survey comes to in money, with what was done in its window."""
        window, selection = survey.window, survey.selection
        bounds = (window.start_s, window.end_s, now_s)
        seen = Period(survey.inventory, survey.profiles, self.prices, *bounds, selection=selection)
        actions = self._actions(window)
        if selection is not None:
            refs = survey.inventory.by_ref()
            actions = [action for action in actions if action.intent.command.workload in refs]
        return compile_report(
            seen,
            name=week,
            recommendations=survey.recommendations,
            blocked=survey.blocked,
            actions=actions,
            cluster=self.settings.cluster_name,
            ledger_head=str(self.ledger.head()) if week else None,
            blockers=self._blockers(survey, now_s),
        )

    def _blockers(self, survey: Survey, now_s: int) -> tuple[Blocked, ...]:
        """What keeps people's `gpuwise apply` from what is recommended, as far as the look at the fleet tells."""
        history = History(directives=self.ledger.directives())
        return blockers(survey.recommendations, Situation(survey.inventory, history, self.settings.policy, now_s))

    def _open(self) -> list[Recommendation]:
        """What the latest run recommended and nobody has carried out since."""
        last = {outcome.command_id: outcome.status for outcome in self.ledger.outcomes()}
        applied = {command_id for command_id, status in last.items() if status is OutcomeStatus.APPLIED}
        done = {i.command.recommendation_id for i in self.ledger.intents() if i.command.id in applied}
        return [item for item in self.ledger.recommendations() if item.id not in done]

    def _actions(self, window: Window) -> list[Action]:
        last = {outcome.command_id: outcome for outcome in self.ledger.outcomes()}
        intents = [i for i in self.ledger.intents(since_s=window.start_s) if i.at_s < window.end_s]
        return [Action(i, last.get(i.command.id), i.command.because) for i in intents]


def _shards(fleet: Inventory, size: int) -> list[Shard]:
    nodes = tuple(fleet.nodes.values())
    return [
        *(Shard(fleet.workloads[i : i + size]) for i in range(0, len(fleet.workloads), size)),
        *(Shard((), nodes[i : i + size]) for i in range(0, len(nodes), size)),
    ]


def _cited(item: Recommendation, workload: Workload | None, cite: Cite) -> Recommendation:
    """With what asks the source for the samples behind each number."""
    if workload is None:
        return item
    return replace(item, evidence=tuple(replace(one, query=cite(workload, one)) for one in item.evidence))


def _with_kept(shard: Shard, checkpoints: Checkpoints | None) -> Shard:
    if checkpoints is None:
        return shard
    return replace(shard, kept=checkpoints.load([*(one.ref for one in shard.workloads), *map(node_ref, shard.nodes)]))
