"""The planted bugs of `make mutants`: each would let gpuwise act on what was not measured, or past a protection."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted bug.

    Attributes:
        name: what goes wrong, in words joined by hyphens.
        file: path in the repository.
        text: source text that occurs exactly once in it.
        replacement: the bug.
        tests: what must notice it: files or node ids, as pytest takes them.
        matters: what would happen in a cluster.
    """

    name: str
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]
    matters: str


_IDLE = "tests/score/test_idle.py"
_PROFILE = "tests/score/test_profile.py"
_HOURS = "tests/score/test_hours.py"
_SUMMARY = "tests/score/test_summary.py"
_EXPECTED = "tests/score/test_expected.py"
_VERDICTS = "tests/score/test_verdicts.py"
_LIVENESS = "tests/score/test_liveness.py"
_DECIDE = "tests/decide/test_decide.py"
_ENACT = "tests/enact/test_enactor.py"
_EFFECTS = "tests/enact/test_effects.py"
_SPOT = "tests/recommend/methods/test_interruptible_on_demand.py"
_ANSWERS = "tests/sources/prometheus/test_http.py"
_CAPACITY = "tests/finops/test_capacity.py"
_LIVES = "tests/finops/test_lives.py"
_WATCHING = "tests/enact/test_watching.py"
_NODES = "tests/enact/test_nodes.py"
_WAKING = "tests/enact/test_wake.py"
_STOP_SWITCH = "tests/enact/test_stop_switch.py"
_ELECTING = "tests/lead/test_elector.py"
_POLICIES = "tests/decide/test_policies.py"
_LEDGER = "tests/memory/test_ledger.py"
_WORDING = "tests/report/test_wording.py"
_VIEWS = "tests/report/test_views.py"

_SCORE = (
    Mutant(
        "hour-without-a-signal-counted-as-idle",
        "src/gpuwise/score/_sheet_py.py",
        'whole = (rows["voters"] == voters) & bool(voters & activity_bits)',
        'whole = (rows["voters"] >= 0) & bool(voters & activity_bits)',
        (_IDLE,),
        "An exporter that stops reporting the one busy signal for an hour makes that hour idle.",
    ),
    Mutant(
        "hour-without-a-signal-counted-as-idle-by-the-laws-alone",
        "src/gpuwise/score/_sheet_py.py",
        'whole = (rows["voters"] == voters) & bool(voters & activity_bits)',
        'whole = (rows["voters"] >= 0) & bool(voters & activity_bits)',
        ("tests/recommend/test_laws.py",),
        "As above; the law over all methods must notice it without the tests of scoring.",
    ),
    Mutant(
        "memory-and-power-alone-mean-idle",
        "src/gpuwise/score/_sheet_py.py",
        'whole = (rows["voters"] == voters) & bool(voters & activity_bits)',
        'whole = (rows["voters"] == voters) & True',
        (_IDLE,),
        "A card without any activity signal is stopped because it draws little power.",
    ),
    Mutant(
        "a-signal-that-appears-today-leaves-the-days-before-idle",
        "src/gpuwise/score/summary.py",
        "one.idle if one.voters == voters else np.zeros_like(one.idle)",
        "one.idle if one.voters else np.zeros_like(one.idle)",
        (_SUMMARY,),
        "Days that were stored as idle by two signals stay idle when a third one appears that nobody had sampled.",
    ),
    Mutant(
        "requests-do-not-veto-idleness",
        "src/gpuwise/score/_sheet_py.py",
        "quiet &= _on_steps(*silent, hours, per_hour)",
        "quiet |= _on_steps(*silent, hours, per_hour)",
        (_IDLE,),
        "An endpoint that answers from a cache, with an idle card, is stopped.",
    ),
    Mutant(
        "coverage-of-the-last-device",
        "src/gpuwise/score/verdicts.py",
        "coverage = min(coverage, device.seen[column] / device.expected)",
        "coverage = device.seen[column] / device.expected",
        (_VERDICTS,),
        "One well sampled card vouches for seven that were not sampled.",
    ),
    Mutant(
        "a-sensor-confirms-without-coverage",
        "src/gpuwise/score/verdicts.py",
        "elif math.isnan(highest) or coverage < settings.full_coverage:",
        "elif math.isnan(highest):",
        (_VERDICTS,),
        "Two samples of a second sensor are the agreement that a stop needs.",
    ),
    Mutant(
        "a-value-at-the-threshold-agrees-with-idleness",
        "src/gpuwise/score/verdicts.py",
        "if highest >= limit:",
        "if highest > limit:",
        (_VERDICTS,),
        "Exporters round to whole percent, so values lie exactly on the threshold of 2 %.",
    ),
    Mutant(
        "at-the-threshold-is-idle",
        "src/gpuwise/score/_hours_py.py",
        "mask |= known & (one.samples[here] >= one.limit)",
        "mask |= known & (one.samples[here] > one.limit)",
        (_IDLE,),
        "Exporters round to whole percent, so values lie exactly on the threshold of 2 %.",
    ),
    Mutant(
        "nan-counted-as-a-sample",
        "src/gpuwise/score/_hours_py.py",
        "(one.samples[here] >= 0.0) & (one.samples[here] <= one.highest)",
        "~(one.samples[here] < 0.0) & ~(one.samples[here] > one.highest)",
        (_IDLE, _PROFILE),
        "`not (nan > t)` is true: a failed scrape becomes an idle step.",
    ),
    Mutant(
        "a-missing-sample-does-not-veto",
        "src/gpuwise/score/_hours_py.py",
        "vetoed |= ~known",
        "vetoed |= known & False",
        (_IDLE,),
        "A step that one of the signals did not sample is idle by the others.",
    ),
    Mutant(
        "unknown-requests-are-none",
        "src/gpuwise/score/hours.py",
        '"silent": grid.packed((known & (rates == 0.0)).ravel())[0]',
        '"silent": grid.packed((~known | (rates == 0.0)).ravel())[0]',
        (_IDLE,),
        "A service monitor that is down makes every endpoint look unused.",
    ),
    Mutant(
        "a-device-without-samples-is-not-missed",
        "src/gpuwise/score/expected.py",
        "missing[start:last_step] = pod.devices",
        "missing[start:last_step] = 0",
        (_EXPECTED,),
        "Three of four replicas are never sampled, and the fourth is idle: all four are stopped.",
    ),
    Mutant(
        "devices-of-other-pods-count-for-this-one",
        "src/gpuwise/score/expected.py",
        "own = [device for device in sampled if device.pod_device.pod == pod.name]",
        "own = [device for device in sampled if device.pod_device.pod]",
        (_EXPECTED,),
        "Two devices of one pod stand in for a pod that reports none.",
    ),
    Mutant(
        "one-complete-device-of-a-pod-is-all-of-them",
        "src/gpuwise/score/expected.py",
        "for device in own) >= pod.devices:",
        "for device in own) >= 1:",
        (_EXPECTED,),
        "Of a pod's eight devices seven are never sampled: the idle one stops it.",
    ),
    Mutant(
        "only-one-of-several-missing-devices-counts",
        "src/gpuwise/score/expected.py",
        "for level in range(1, int(missing.max(initial=0)) + 1):",
        "for level in range(1, min(1, int(missing.max(initial=0))) + 1):",
        (_EXPECTED,),
        "Of seven devices without samples one counts as used: the pod is resized below its use.",
    ),
    Mutant(
        "an-old-page-with-a-counter-that-stands-still-is-believed",
        "src/gpuwise/score/liveness.py",
        "frozen = stands & grid.any_by_hour(_known(device.samples))",
        "frozen = stands & False",
        (_LIVENESS,),
        "An exporter without its host engine serves the page of an idle night for days (gpu-monitoring-tools#188).",
    ),
    Mutant(
        "an-old-page-without-a-counter-is-believed",
        "src/gpuwise/score/liveness.py",
        "found[likely] = (hours[likely] == first[likely, None]).all(axis=1)",
        "found[likely] = False",
        (_LIVENESS,),
        "Exporters without an energy counter serve old pages as well (I29).",
    ),
    Mutant(
        "coverage-over-sampled-devices-alone",
        "src/gpuwise/score/profile.py",
        "expected = sum(device.end - device.start for device in devices)",
        "expected = sum(device.end - device.start for device in devices if device.voters)",
        (_EXPECTED,),
        "The recommendation says 100 % sampled, with full confidence, where a replica never reported.",
    ),
)

_RECOMMEND = (
    Mutant(
        "one-sensor-is-enough-to-stop",
        "src/gpuwise/recommend/methods/idle.py",
        "if idle.agreeing_sensors < case.settings.agreeing_sensors:",
        "if idle.agreeing_sensors < 1:",
        ("tests/recommend/methods/test_idle.py",),
        "GPU utilisation reads 0 on every MIG instance (dcgm-exporter#216).",
    ),
    Mutant(
        "missing-samples-are-not-full-use",
        "src/gpuwise/recommend/case.py",
        "known.quantile(wanted / covered)",
        "known.quantile(wanted)",
        ("tests/recommend/test_case.py",),
        "A card that was sampled at night alone gets the size that it needs at night.",
    ),
    Mutant(
        "restart-cost-dropped-for-checkpointed-work",
        "src/gpuwise/recommend/methods/interruptible_on_demand.py",
        "(interval_s / 2 + settings.restart_s) / life_s",
        "(interval_s / 2) / life_s",
        (_SPOT,),
        "Spot looks cheaper than it is: each reclaim costs a restart.",
    ),
    Mutant(
        "restart-cost-dropped-for-replicas",
        "src/gpuwise/recommend/methods/interruptible_on_demand.py",
        "lost = -math.log1p(-reclaims) / (HOURS_PER_MONTH * HOUR_S) * settings.restart_s",
        "lost = -math.log1p(-reclaims) / (HOURS_PER_MONTH * HOUR_S) * 0.0",
        (_SPOT,),
        "Spot looks cheaper than it is: each reclaim costs the start of a replica.",
    ),
    Mutant(
        "the-only-ready-replica-goes-to-spot",
        "src/gpuwise/recommend/methods/interruptible_on_demand.py",
        "sum(_ready(pod) for pod in case.workload.pods) >= 2",
        "sum(True for pod in case.workload.pods) >= 2",
        (_SPOT,),
        "One of two replicas is not ready; a reclaim takes the other, and nobody answers (I22).",
    ),
    Mutant(
        "spot-counts-as-progress-until-the-next-pass",
        "src/gpuwise/recommend/engines/interruptible_on_demand/next_step.py",
        "terms.span_s - terms.interval_s))",
        "terms.span_s))",
        ("tests/recommend/engines/interruptible_on_demand/test_next_step.py",),
        "Spot goes right after a pass, and at the next one on-demand is too late for the deadline.",
    ),
    Mutant(
        "the-fastest-pace-counts",
        "src/gpuwise/recommend/declared_job.py",
        "units_per_s = min(mean, *",
        "units_per_s = max(mean, *",
        ("tests/recommend/methods/test_deadline_capacity_misfit.py",),
        "A job seems to need less time than it does, and leaves on-demand for too long.",
    ),
)

_DECIDE_MUTANTS = (
    Mutant(
        "budget-not-counted",
        "src/gpuwise/decide/decide.py",
        "spent = (situation.history.spent(one, now_s=situation.now_s) + used",
        "spent = (0 * situation.history.spent(one, now_s=situation.now_s) + used",
        (_DECIDE,),
        "Each pass spends the whole budget again.",
    ),
    Mutant(
        "brake-disabled",
        "src/gpuwise/decide/decide.py",
        "if len(passed) > most:",
        "if len(passed) > 10**9:",
        (_DECIDE,),
        "Every exporter fails at once, and the whole fleet is stopped (I16).",
    ),
    Mutant(
        "cool-down-ignored",
        "src/gpuwise/decide/gates.py",
        "if last is None or situation.now_s - last.at_s >= cool_down_s:",
        "if last is None or situation.now_s >= last.at_s:",
        (_DECIDE,),
        "gpuwise and an operator rescale one target against each other all day.",
    ),
    Mutant(
        "breaker-never-opens",
        "src/gpuwise/decide/gates.py",
        "if failures is None or failures.count < situation.settings.breaker_failures:",
        "if failures is None or failures.count < 10**9:",
        (_DECIDE,),
        "What a webhook reverts is tried again at every pass (I15).",
    ),
    Mutant(
        "an-old-inventory-is-fresh",
        "src/gpuwise/decide/gates.py",
        "if age_s > q.situation.settings.max_inventory_age_s:",
        "if age_s < 0:",
        (_DECIDE,),
        "What was protected meanwhile is acted on (I4).",
    ),
    Mutant(
        "pause-ignored",
        "src/gpuwise/model/command.py",
        'return orders[-1] if orders and orders[-1].kind == "pause" else None',
        "return None",
        (_DECIDE,),
        "The kill switch does nothing (I26).",
    ),
    Mutant(
        "unreadable-protection-means-allowed",
        "src/gpuwise/model/protection.py",
        "if value is None or value == permits:",
        "if value is None or value != protects:",
        (_DECIDE, _ENACT),
        "`do-not-disrupt: True`, with a capital letter, protects nothing (I11).",
    ),
)

_ENACT_MUTANTS = (
    Mutant(
        "owner-references-ignored",
        "src/gpuwise/enact/guard.py",
        'references = item["metadata"].get("ownerReferences") or []',
        "references: list[Any] = []",
        (_ENACT,),
        "A workload is stopped under the controller that made it, which starts it again.",
    ),
    Mutant(
        "disruption-budget-ignored",
        "src/gpuwise/enact/guard.py",
        '(pod["metadata"].get("labels") or {} for pod in pods)) == 0:',
        '(pod["metadata"].get("labels") or {} for pod in pods)) == -1:',
        (_ENACT,),
        "A PodDisruptionBudget guards evictions alone, so nothing else protects from `replicas: 0`.",
    ),
    Mutant(
        "pods-are-not-asked-for-protections",
        "src/gpuwise/enact/guard.py",
        '*(("pod", pod) for pod in pods)]',
        '*(("pod", pod) for pod in pods[:0])]',
        (_ENACT,),
        "karpenter.sh/do-not-disrupt stands on pods.",
    ),
    Mutant(
        "uid-precondition-dropped",
        "src/gpuwise/enact/images.py",
        '{"op": "replace", "path": "/metadata/uid", "value": metadata["uid"]},',
        "",
        (_ENACT, _EFFECTS),
        "An object that was recreated between read and write is changed (I9).",
    ),
    Mutant(
        "version-precondition-dropped",
        "src/gpuwise/enact/images.py",
        '{"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},',
        "",
        (_ENACT, _EFFECTS),
        "A person's change between read and write is overwritten (I9).",
    ),
    Mutant(
        "a-recreated-target-is-taken-for-the-old-one",
        "src/gpuwise/enact/target.py",
        'if metadata["uid"] != workload.uid:',
        'if metadata["uid"] == "":',
        (_ENACT,),
        "What was idle last week is deleted and created again under the same name (I9).",
    ),
    Mutant(
        "a-dry-run-writes-outcomes",
        "src/gpuwise/enact/observing.py",
        "if not self._settings.dry_run:\n            self._ledger.record_outcome(outcome)",
        "self._ledger.record_outcome(outcome)",
        (_ENACT,),
        "A look at what would happen changes what gpuwise believes has happened (I19).",
    ),
    Mutant(
        "a-dry-run-writes-to-the-cluster",
        "src/gpuwise/enact/enactor.py",
        "if self._settings.dry_run:\n            text = change_text(prepared",
        "if self._settings.dry_run is None:\n            text = change_text(prepared",
        (_ENACT,),
        "A look at what would happen stops workloads (I19).",
    ),
    Mutant(
        "an-expired-recommendation-is-carried-out",
        "src/gpuwise/enact/examine.py",
        "if command.because is not None and now_s >= command.because.expires_s:",
        "if command.because is not None and now_s < 0:",
        (_ENACT,),
        "The workload has been in use again since.",
    ),
    Mutant(
        "what-cannot-be-read-is-not-refused",
        "src/gpuwise/enact/guard.py",
        'budgets = cluster.list(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets")',
        "try:\n"
        '        budgets = cluster.list(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets")\n'
        "    except Exception:\n"
        "        budgets = []",
        (_ENACT,),
        "An API server under load looks like one without budgets (autoscaler#7419).",
    ),
    Mutant(
        "nothing-was-changed-is-said-unseen",
        "src/gpuwise/enact/recovering.py",
        "if in_flight and found.status in (WRITTEN if undoing else (OutcomeStatus.NOT_APPLIED,)):",
        "if in_flight and found is None:",
        (_ENACT,),
        "A write that is still on its way takes effect after its outcome was written (I31).",
    ),
    Mutant(
        "the-ledger-does-not-count-the-budget",
        "src/gpuwise/memory/ledger.py",
        "if spent >= limit.disruptions:",
        "if spent > limit.disruptions + 10**6:",
        ("tests/memory/test_ledger.py",),
        "Two processes spend one budget twice (I5).",
    ),
)

_READ = (
    Mutant(
        "a-partial-answer-is-whole",
        "src/gpuwise/sources/prometheus/answers.py",
        'if warnings or body.get("isPartial"):',
        "if warnings is NotImplemented:",
        (_ANSWERS,),
        "Half of the stores answer, and the other half of the fleet looks unused (thanos#622).",
    ),
    Mutant(
        "an-error-answer-is-an-empty-list",
        "src/gpuwise/sources/prometheus/answers.py",
        'if not isinstance(body, dict) or body.get("status") != "success" or "data" not in body:',
        'if isinstance(body, dict) and body.get("status") == "error":\n'
        '            return {"resultType": "matrix", "result": []}\n'
        '        if not isinstance(body, dict) or body.get("status") != "success" or "data" not in body:',
        (_ANSWERS,),
        "A query that fails is a fleet without use.",
    ),
    Mutant(
        "a-forbidden-list-is-an-empty-one",
        "src/gpuwise/cluster/client.py",
        "if self._serves(path):\n                raise",
        "if self._serves(path):\n                return []",
        ("tests/kubernetes/test_cluster.py", "tests/kubernetes/test_api.py"),
        "KEDA's ScaledObjects may not be read, so nothing is scaled by KEDA.",
    ),
    Mutant(
        "the-checkpoint-key-loses-the-thresholds",
        "src/gpuwise/wiring/sources.py",
        "[config.prometheus.url, config.observe.step_s, config.score.activity_idle_below, SCRAPE_S]",
        "[config.prometheus.url, config.observe.step_s]",
        ("tests/test_wiring.py",),
        "Hours that were counted with a higher threshold stay idle after it was lowered.",
    ),
)

_FINOPS = (
    Mutant(
        "a-card-on-a-day-without-any-sample-is-free",
        "src/gpuwise/finops/accounts.py",
        "if not self._listed or self._is_silent(day_s):",
        "if not self._listed:",
        (_CAPACITY,),
        "Prometheus was down for two days, and the report says that GPUs stood unallocated.",
    ),
    Mutant(
        "a-node-has-more-than-its-time",
        "src/gpuwise/finops/uses.py",
        "seen=_share(taken, _capacity(period, whole_days=True))",
        "seen={}",
        (_CAPACITY,),
        "MIG instances of 4/7 and 1/2 are billed for more than their card.",
    ),
    Mutant(
        "whole-cards-are-stranded-beside-a-divided-one",
        "src/gpuwise/finops/accounts.py",
        "node.capacity - min(node.whole_gpus, node.capacity) - instances",
        "node.capacity - instances",
        (_CAPACITY,),
        "Free GPUs of a node with one MIG card are reported as stranded.",
    ),
    Mutant(
        "an-earlier-node-has-the-price-of-the-present-one",
        "src/gpuwise/finops/lives.py",
        "if stay.end_s <= _created(first) and stay.device_uuid not in self.cards[keys[0]]:",
        "if stay.end_s < 0:",
        (_LIVES,),
        "An A100 is billed as the T4 whose node has its name now.",
    ),
    Mutant(
        "what-was-never-measured-was-idle-for-0-dollars",
        "src/gpuwise/finops/shares.py",
        "for day, price in priced if day.unknown_gpu_s < day.allocated_gpu_s),",
        "for day, price in priced),",
        (_CAPACITY,),
        "The report says of a team without an exporter that none of its GPUs is idle.",
    ),
    Mutant(
        "a-resume-in-another-cluster-ends-the-pause",
        "src/gpuwise/manual.py",
        'if one.cluster in ("", uid)]',
        "if one.cluster is not None]",
        ("tests/test_manual.py",),
        "The kill switch of one cluster is released by a resume in another (I26).",
    ),
)

_CHECKED_AGAIN = (
    Mutant(
        "a-breached-service-level-is-not-restored",
        "src/gpuwise/enact/watching.py",
        "elif not within(level, value):",
        "elif False:",
        (_WATCHING,),
        "A change that makes requests fail stays (I13).",
    ),
    Mutant(
        "a-service-level-that-falls-silent-is-good-news",
        "src/gpuwise/enact/watching.py",
        "        if unknown:\n",
        "        if unknown and watch is None:\n",
        (_WATCHING,),
        "A change that ended the metrics of its workload counts as a success (I13).",
    ),
    Mutant(
        "pods-that-never-become-ready-are-accepted",
        "src/gpuwise/enact/watching.py",
        "        if not pods.done:\n",
        "        if not pods.done and pods.broken:\n",
        (_WATCHING,),
        "A rolling update that cannot proceed stays (LLMKube#192).",
    ),
    Mutant(
        "what-others-changed-meanwhile-is-restored-over",
        "src/gpuwise/enact/watching.py",
        "if actual != stage(intent, actual):",
        "if actual == {}:",
        (_WATCHING,),
        "gpuwise overwrites a person's change (I12).",
    ),
    Mutant(
        "a-full-node-fits-another-pod",
        "src/gpuwise/enact/fitting.py",
        "return None if why is None else Refusal(Reason.NO_SPACE, why)",
        "return None",
        (_WATCHING,),
        "A rolling update begins that cannot proceed.",
    ),
    Mutant(
        "a-new-pod-is-idle",
        "src/gpuwise/enact/youth.py",
        "if min_alive_s and -_REPLAYED_S < age_s < min_alive_s:",
        "if -_REPLAYED_S < age_s < 0:",
        (_WAKING,),
        "An endpoint is stopped again before its model is loaded (kubeflow#6648).",
    ),
    Mutant(
        "automation-stops-work-without-checkpoints",
        "src/gpuwise/enact/guard.py",
        "if KINDS[command.workload.kind].restarts and not checkpoints:",
        "if False:",
        (_WAKING,),
        "Days of training are lost.",
    ),
    Mutant(
        "the-wake-annotation-writes-any-field",
        "src/gpuwise/enact/wake.py",
        "known = at in target.kind.stop or at in _MARKS",
        "known = True",
        (_WAKING,),
        "Who may annotate an object makes gpuwise write its image.",
    ),
    Mutant(
        "the-stop-switch-is-not-read",
        "src/gpuwise/enact/stop_switch.py",
        'return Refusal(Reason.STOPPED, f"{where} exists: effects go on when it is deleted")',
        "return None",
        (_STOP_SWITCH,),
        "Effects go on after a person stopped them (I26).",
    ),
    Mutant(
        "an-unreadable-stop-switch-is-off",
        "src/gpuwise/enact/stop_switch.py",
        'return Refusal(Reason.STOPPED, f"{where} cannot be read, so nothing is changed: {error}")',
        "return None",
        (_STOP_SWITCH,),
        "Effects go on while it is not known whether they were stopped.",
    ),
)

_NODES_CHANGED = (
    Mutant(
        "a-layout-changes-under-processes",
        "src/gpuwise/enact/partition.py",
        "if memory_used > 0:",
        "if memory_used > 1e15:",
        (_NODES,),
        "MIG is reconfigured under running processes (gpu-operator#262).",
    ),
    Mutant(
        "unknown-use-of-gpu-memory-is-none",
        "src/gpuwise/enact/partition.py",
        '    if memory_used is None:\n        return Wait("it is not known whether processes use its GPUs")\n',
        "    memory_used = memory_used or 0.0\n",
        (_NODES,),
        "MIG is reconfigured where nobody measured whether processes run (I21).",
    ),
    Mutant(
        "a-protected-pod-is-evicted",
        "src/gpuwise/enact/drain.py",
        "if found is not None:",
        "if found is not None and not found:",
        (_NODES,),
        "A protection that was set after the plan is ignored (I10).",
    ),
    Mutant(
        "the-next-pod-is-evicted-before-the-last-one-runs",
        "src/gpuwise/enact/drain.py",
        "if starting is not None:",
        "if starting is not None and not evicted:",
        (_NODES,),
        "A drain evicts pods that find no node.",
    ),
)

_LEADER = (
    Mutant(
        "a-lease-is-taken-from-a-running-leader",
        "src/gpuwise/lead/elector.py",
        "return self._clock() - self._since_s > duration_s",
        "return True",
        (_ELECTING,),
        "Two processes write at once (I6).",
    ),
    Mutant(
        "a-leader-with-another-ledger-takes-over",
        "src/gpuwise/lead/elector.py",
        'if before not in ("", self._ledger):',
        "if False:",
        (_ELECTING,),
        "A new leader starts with an unspent budget (I5).",
    ),
    Mutant(
        "a-leader-writes-after-its-deadline",
        "src/gpuwise/lead/leader.py",
        "if late_s >= 0:",
        "if late_s >= 10**6:",
        (_ELECTING,),
        "A paused process writes after another one took over (I7).",
    ),
    Mutant(
        "a-new-leader-writes-before-it-listed-the-cluster",
        "src/gpuwise/lead/leader.py",
        "if self._warm != held.epoch:",
        "if False:",
        (_ELECTING,),
        "A plan of an earlier leader is carried out on a changed fleet (I4).",
    ),
    Mutant(
        "an-earlier-leader-spends-the-budget",
        "src/gpuwise/memory/ledger.py",
        "if latest is not None and latest.epoch > epoch:",
        "if latest is not None and latest.epoch > epoch + 10**6:",
        (_LEDGER,),
        "A superseded leader records intents (I6).",
    ),
)

_POLICY = (
    Mutant(
        "a-freeze-is-over-on-its-first-day",
        "src/gpuwise/decide/calendar.py",
        "return self.first <= today <= self.last and (",
        "return self.first < today < self.first and (",
        (_POLICIES,),
        "Automation changes production in the freeze.",
    ),
    Mutant(
        "an-approval-lasts-for-ever",
        "src/gpuwise/decide/approvals.py",
        "since_s = max(since_s, last.at_s)",
        "since_s = min(since_s, last.at_s)",
        (_POLICIES,),
        "A change that failed is repeated without asking again.",
    ),
    Mutant(
        "what-it-affects-is-not-known-and-small",
        "src/gpuwise/decide/approvals.py",
        '    if gpus is None:\n        return f"the number',
        '    if gpus is None and settings.above_gpus < 0:\n        return f"the number',
        (_POLICIES,),
        "One person decides about a change of unknown size.",
    ),
)

_REPORT = (
    Mutant(
        "an-unknown-amount-is-zero-dollars",
        "src/gpuwise/report/wording.py",
        "    if value is None or _missing(value):\n        return UNKNOWN\n    sign",
        "    value = 0.0 if value is None or _missing(value) else value\n    sign",
        (_WORDING,),
        "A report shows costs that nobody knows as none.",
    ),
    Mutant(
        "a-share-of-nothing-is-zero",
        "src/gpuwise/report/wording.py",
        "return part / whole if whole > 0 else None",
        "return part / whole if whole > 0 else 0.0",
        (_WORDING,),
        "A week without data is a week without waste.",
    ),
    Mutant(
        "what-policy-blocks-is-offered",
        "src/gpuwise/report/wording.py",
        "item for item in report.recommendations if item.id not in blocked_ids and enactable",
        "item for item in report.recommendations if enactable",
        (_VIEWS,),
        "The report offers a command that is refused.",
    ),
)

MUTANTS: tuple[Mutant, ...] = (
    *_SCORE,
    *_RECOMMEND,
    *_DECIDE_MUTANTS,
    *_ENACT_MUTANTS,
    *_READ,
    *_FINOPS,
    *_CHECKED_AGAIN,
    *_NODES_CHANGED,
    *_LEADER,
    *_POLICY,
    *_REPORT,
)
