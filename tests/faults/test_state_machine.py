"""Hypothesis decides what happens, in any order, to the world of the schedules; afterwards the same must hold."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.faults.choosing import NoFaults, fits
from tests.faults.invariants import violations
from tests.faults.playing import quiesce
from tests.faults.points import ORDERS, PEOPLE, Fault
from tests.faults.process import Process
from tests.faults.targets import SUBJECTS
from tests.faults.world import HOUR_S, World

_WHO = st.integers(0, 1)


class Armed(NoFaults):
    """One fault at a time, at a failpoint that is still to come."""

    def __init__(self):
        super().__init__()
        self.active, self.left, self.fault = True, 0, None

    def arm(self, after: int, fault: Fault) -> None:
        self.left, self.fault = after, fault

    def __call__(self, process, point, possible):
        if not self.active or self.fault is None or not fits(self.fault, possible):
            return None
        self.left -= 1
        if self.left > 0:
            return None
        fault, self.fault = self.fault, None
        return fault


class Fleet(RuleBasedStateMachine):
    """Three targets, two processes of gpuwise, and people."""

    @initialize(chosen=st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=3, unique_by=lambda one: one.name))
    def begin(self, chosen):
        self.faults = Armed()
        self.world = World(random.Random(0), tuple(chosen))
        self.faults.processes = [Process(name, self.world, self.faults) for name in "ab"]
        self.faults.people = Process("ada", self.world, self.faults, elected=False)

    @rule(who=_WHO)
    def run_a_pass(self, who):
        self.faults.processes[who].run_pass()

    @precondition(lambda self: self.faults.fault is None)
    @rule(after=st.integers(1, 12), fault=st.sampled_from(Fault))
    def something_fails_soon(self, after, fault):
        self.faults.arm(after, fault)

    @rule(who=_WHO)
    def a_process_restarts(self, who):
        self.faults.processes[who].end()

    @rule(who=_WHO)
    def a_dry_run(self, who):
        self.faults.processes[who].dry_run()

    @rule(act=st.sampled_from(sorted(ORDERS)))
    def a_person_orders(self, act):
        self.faults.people.follows(act)

    @rule(act=st.sampled_from([one for one in PEOPLE if one not in ORDERS]))
    def others_change_something(self, act):
        self.world.people.others(act)

    @rule(seconds=st.sampled_from((1, 30, 70, 2_000, HOUR_S, 25 * HOUR_S)))
    def time_passes(self, seconds):
        self.world.advance(seconds)

    @rule()
    def controllers_stop_or_catch_up(self):
        self.world.lag()

    def teardown(self):
        if hasattr(self, "world"):
            found = [*quiesce(self.world, self.faults), *violations(self.world)]
            assert found == [], "\n".join([*self.world.trace, *found])


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=25, stateful_step_count=15)
