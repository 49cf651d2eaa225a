"""The workloads of the simulated fleet: archetypes, how many of each, and protections of single workloads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gpuwise.model.inventory import CapacityType, WorkloadClass
from gpuwise.model.labels import (
    DATA_CLASS,
    DO_NOT_DISRUPT,
    GPU_RESOURCE,
    KARPENTER_DO_NOT_DISRUPT,
    MIG_RESOURCE_PREFIX,
    SAFE_TO_EVICT,
    WORK,
    WORK_METRIC,
)

_ONE_SEVENTH = MIG_RESOURCE_PREFIX + "1g.10gb"
_THREE_SEVENTHS = MIG_RESOURCE_PREFIX + "3g.40gb"


class Behaviour(StrEnum):
    """How a workload uses its GPUs; `activity.py` has a function for each."""

    STEADY = "steady"
    INPUT_BOUND = "input-bound"
    PARTIAL = "partial"
    STALLED = "stalled"
    SERVING = "serving"
    UNCALLED = "uncalled"
    SPARSE = "sparse"
    CRUNCHING = "crunching"
    OFFICE = "office"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Archetype:
    """A type of workload that the fleet has several instances of.

    Attributes:
        names: one workload per name in the full fleet.
        behaviour: how they use their GPUs.
        workload_class: their workload class.
        kind: Kubernetes kind.
        gpu: canonical GPU type.
        pods: per workload.
        gpus: devices per pod.
        namespaces: assigned in turn.
        resource: the resource that a pod requests.
        capacity: capacity type of the nodes they prefer; if none has enough free devices, they use any.
        memory: range of the share of device memory in use once loaded.
        level: range of the busy level, as GPU utilisation.
        checkpointed: the workload is marked as safe to interrupt.
        finished: the Job ended during the recording.
        gated: its pods have a scheduling gate, as Kueue sets it until a quota is free, and wait although nodes are.
    """

    names: tuple[str, ...]
    behaviour: Behaviour
    workload_class: WorkloadClass
    kind: str
    gpu: str
    pods: int
    gpus: int
    namespaces: tuple[str, ...]
    resource: str = GPU_RESOURCE
    capacity: CapacityType = CapacityType.ON_DEMAND
    memory: tuple[float, float] = (0.55, 0.92)
    level: tuple[float, float] = (0.5, 0.95)
    checkpointed: bool = False
    finished: bool = False
    gated: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """Additional properties of a single workload: what it declares, protections, and other owners of its scale."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    autoscaled: bool = False
    disruption_budget: int | None = None
    gitops: bool = False
    deadline_days: int | None = None
    """Days from its creation to its deadline; None without one."""


NAMESPACES: Mapping[str, Mapping[str, str]] = {
    "search": {"team": "search", "gpuwise.dev/mode": "enforce"},
    "vision": {"team": "vision", "gpuwise.dev/mode": "enforce"},
    "sandbox": {"gpuwise.dev/mode": "enforce"},
    "recsys": {"team": "recsys", "gpuwise.dev/mode": "approve"},
    "nlp": {"team": "nlp"},
    "speech": {"team": "speech"},
    "ads": {"team": "ads"},
    "science": {"team": "science"},
    "robotics": {"team": "robotics"},
    "notebooks": {},
}
"""Labels of each namespace; two have no owner, three allow gpuwise to act."""

NOTEBOOK_TEAMS = ("search", "vision", "nlp", "science", "ads", "robotics", None)
"""Owners of workloads in a namespace without a team, in turn; None means no owner."""

MARKS: Mapping[str, Marks] = {
    "weather-nowcast": Marks({WORK_METRIC: "trainer_steps_total"}),
    "caption-demo": Marks({DO_NOT_DISRUPT: "true"}),
    "ocr-legacy": Marks({SAFE_TO_EVICT: "false"}),
    "notebook-amara": Marks({KARPENTER_DO_NOT_DISRUPT: "true"}),
    "summarise-v1": Marks({DO_NOT_DISRUPT: "yes"}),  # a misspelt value: neither "true" nor "false"
    "query-embedder": Marks(autoscaled=True, disruption_budget=1),
    "chat-13b": Marks(autoscaled=True),
    "rerank-v1": Marks(disruption_budget=0),
    "translate-beta": Marks(gitops=True),
    "speaker-id": Marks({DATA_CLASS: "voices"}, gitops=True, disruption_budget=1),
    "ad-creative-gen": Marks(gitops=True),
    # 90 % done at the end of the recording: 59 h of work are left, and 115 h of time.
    "video-diffusion": Marks({WORK_METRIC: "trainer_steps_total", WORK: "1200000"}, deadline_days=28),
}

_TRAINING = WorkloadClass.TRAINING
_ENDPOINT = WorkloadClass.ENDPOINT
_BATCH = WorkloadClass.BATCH
_NOTEBOOK = WorkloadClass.NOTEBOOK
_SPOT = CapacityType.SPOT
_RESERVED = CapacityType.RESERVED

# Memory shares of a model server that reserves its cache (vLLM's gpu_memory_utilization, 0.9) and of one that does not:
# used memory does not show how much is needed.
_RESERVED_CACHE = (0.86, 0.92)
_SMALL_MODEL = (0.05, 0.11)

CATALOGUE: tuple[Archetype, ...] = (
    # Training: large and steady first, so that it finds whole nodes.
    Archetype(("pretrain-70b",), Behaviour.STEADY, _TRAINING, "Job", "H100-80GB", 4, 8, ("nlp",),
              capacity=_RESERVED, checkpointed=True),
    Archetype(("pretrain-moe",), Behaviour.STEADY, _TRAINING, "Job", "H100-80GB", 2, 8, ("nlp",),
              capacity=_RESERVED, checkpointed=True),
    Archetype(("world-model", "video-diffusion"), Behaviour.STEADY, _TRAINING, "Job", "H100-80GB", 1, 8,
              ("robotics", "vision"), checkpointed=True),
    Archetype(("detector-large", "asr-conformer", "protein-fold"), Behaviour.STEADY, _TRAINING, "Job", "A100-80GB",
              1, 8, ("vision", "speech", "science"), checkpointed=True),
    Archetype(("weather-nowcast",), Behaviour.STEADY, _TRAINING, "Job", "A100-80GB", 1, 8, ("science",),
              capacity=_SPOT, checkpointed=True),
    Archetype(("ctr-deep",), Behaviour.STALLED, _TRAINING, "Job", "A100-80GB", 1, 8, ("ads",)),
    Archetype(("sft-8b", "two-tower"), Behaviour.STEADY, _TRAINING, "StatefulSet", "A100-80GB", 1, 4,
              ("nlp", "recsys"), checkpointed=True),
    Archetype(("lidar-seg", "graph-ranker"), Behaviour.INPUT_BOUND, _TRAINING, "StatefulSet", "A100-80GB", 1, 4,
              ("robotics", "search")),
    Archetype(("policy-distill",), Behaviour.PARTIAL, _TRAINING, "StatefulSet", "H100-80GB", 1, 8, ("robotics",),
              level=(0.9, 0.98)),
    Archetype(("vision-probe", "tts-finetune"), Behaviour.PARTIAL, _TRAINING, "StatefulSet", "A100-80GB", 1, 4,
              ("vision", "speech"), level=(0.85, 0.97)),
    Archetype(("segment-small", "keyword-spot", "defect-cnn", "emotion-net"), Behaviour.STEADY, _TRAINING,
              "StatefulSet", "L4", 1, 2, ("vision", "speech", "vision", "ads"), checkpointed=True),
    Archetype(("intent-bert", "spam-filter", "geo-encode", "route-learn"), Behaviour.INPUT_BOUND, _TRAINING,
              "StatefulSet", "T4", 1, 2, ("search", "ads", "search", "robotics")),
    # Forgotten: used once, then abandoned.
    Archetype(("rlhf-sweep",), Behaviour.FORGOTTEN, _TRAINING, "StatefulSet", "H100-80GB", 1, 8, ("sandbox",)),
    Archetype(("hparam-search",), Behaviour.FORGOTTEN, _TRAINING, "StatefulSet", "A100-80GB", 1, 4, ("vision",)),
    Archetype(("eval-harness", "demo-day"), Behaviour.FORGOTTEN, _ENDPOINT, "Deployment", "L4", 1, 2,
              ("search", "sandbox")),
    # Batch.
    Archetype(("reindex-images", "backfill-embeddings"), Behaviour.CRUNCHING, _BATCH, "Job", "T4", 1, 4,
              ("search", "recsys")),
    Archetype(("transcode-captions",), Behaviour.CRUNCHING, _BATCH, "Job", "L4", 2, 4, ("speech",)),
    Archetype(("synth-data",), Behaviour.CRUNCHING, _BATCH, "Job", "A100-80GB", 1, 2, ("nlp",)),
    Archetype(("label-refresh", "nightly-eval", "dedup-corpus", "clip-export"), Behaviour.CRUNCHING, _BATCH, "Job",
              "T4", 1, 2, ("vision", "nlp", "nlp", "vision"), finished=True),
    Archetype(("audio-align", "render-batch", "map-tiles", "ocr-archive"), Behaviour.CRUNCHING, _BATCH, "Job", "L4",
              1, 2, ("speech", "vision", "robotics", "search"), finished=True),
    Archetype(("distil-teacher", "score-candidates", "md-ensemble"), Behaviour.CRUNCHING, _BATCH, "Job", "A100-80GB",
              1, 2, ("nlp", "recsys", "science"), finished=True),
    # Endpoints with traffic.
    Archetype(("chat-70b", "code-assist"), Behaviour.SERVING, _ENDPOINT, "Deployment", "H100-80GB", 3, 1,
              ("nlp", "nlp"), memory=_RESERVED_CACHE, level=(0.75, 0.97)),
    Archetype(("chat-13b", "image-gen"), Behaviour.SERVING, _ENDPOINT, "Deployment", "A100-80GB", 3, 1,
              ("nlp", "vision"), memory=_RESERVED_CACHE, level=(0.5, 0.9)),
    # More replicas than the load needs, and a card that is larger than the model.
    Archetype(("search-suggest",), Behaviour.SERVING, _ENDPOINT, "Deployment", "T4", 5, 1, ("search",),
              memory=(0.55, 0.75), level=(0.12, 0.16)),
    Archetype(("contract-qa",), Behaviour.SERVING, _ENDPOINT, "Deployment", "H100-80GB", 1, 1, ("nlp",),
              memory=(0.55, 0.62), level=(0.1, 0.15)),
    Archetype(("query-embedder", "product-rank", "ad-creative-gen", "asr-stream", "face-blur", "doc-qa", "safety-cls"),
              Behaviour.SERVING, _ENDPOINT, "Deployment", "L4", 2, 1,
              ("search", "recsys", "ads", "speech", "vision", "nlp", "nlp"), memory=(0.3, 0.9), level=(0.12, 0.9)),
    Archetype(("autocomplete", "similar-items", "speaker-id", "thumbnailer", "lang-detect", "fraud-score", "plate-read",
               "bin-picker"),
              Behaviour.SERVING, _ENDPOINT, "Deployment", "T4", 2, 1,
              ("search", "recsys", "speech", "vision", "nlp", "ads", "robotics", "robotics"),
              memory=(0.2, 0.8), level=(0.06, 0.6)),
    Archetype(("sentiment", "colour-match", "entity-link", "pose-lite"), Behaviour.SERVING, _ENDPOINT, "Deployment",
              "A100-80GB", 1, 1, ("ads", "vision", "search", "robotics"), memory=_SMALL_MODEL, level=(0.04, 0.12)),
    Archetype(("moderate-text", "moderate-image", "spell-fix", "tag-suggest", "voice-wake"), Behaviour.SERVING,
              _ENDPOINT, "Deployment", "A100-80GB", 1, 1, ("nlp", "vision", "search", "recsys", "speech"),
              resource=_ONE_SEVENTH, memory=(0.4, 0.9), level=(0.15, 0.8)),
    Archetype(("style-transfer", "depth-map"), Behaviour.SERVING, _ENDPOINT, "Deployment", "H100-80GB", 1, 1,
              ("vision", "robotics"), resource=_THREE_SEVENTHS, memory=(0.4, 0.9), level=(0.2, 0.7)),
    # Endpoints with few or no requests.
    Archetype(("legal-search", "recipe-bot", "alt-text", "room-plan"), Behaviour.SPARSE, _ENDPOINT, "Deployment", "L4",
              1, 1, ("search", "nlp", "vision", "robotics"), memory=_RESERVED_CACHE, level=(0.3, 0.9)),
    Archetype(("badge-check", "invoice-parse", "meme-cls"), Behaviour.SPARSE, _ENDPOINT, "Deployment", "T4", 1, 1,
              ("vision", "ads", "ads"), memory=(0.2, 0.5), level=(0.2, 0.7)),
    Archetype(("rerank-v1", "caption-demo", "summarise-v1"), Behaviour.UNCALLED, _ENDPOINT, "Deployment", "A100-80GB",
              2, 1, ("search", "vision", "nlp"), memory=_RESERVED_CACHE),
    Archetype(("chat-7b-old", "agent-pilot"), Behaviour.UNCALLED, _ENDPOINT, "Deployment", "H100-80GB", 1, 1,
              ("search", "sandbox"), memory=_RESERVED_CACHE),
    Archetype(("translate-beta", "image-gen-v2", "faq-bot", "tryon-demo"), Behaviour.UNCALLED, _ENDPOINT, "Deployment",
              "L4", 2, 1, ("search", "vision", "nlp", "recsys"), memory=_RESERVED_CACHE),
    Archetype(("ocr-legacy", "intent-v0", "cat-finder", "tts-old"), Behaviour.UNCALLED, _ENDPOINT, "Deployment", "T4",
              1, 1, ("search", "search", "sandbox", "speech"), memory=(0.2, 0.8)),
    # Notebooks.
    Archetype(("notebook-lena", "notebook-tomas", "notebook-yuki", "notebook-priya"), Behaviour.OFFICE, _NOTEBOOK,
              "StatefulSet", "A100-80GB", 1, 1, ("notebooks",), level=(0.2, 0.95)),
    Archetype(("notebook-ines", "notebook-omar", "notebook-jan", "notebook-mei"), Behaviour.OFFICE, _NOTEBOOK,
              "StatefulSet", "L4", 1, 1, ("notebooks",), level=(0.1, 0.9)),
    Archetype(("notebook-sofia", "notebook-ravi", "notebook-kofi", "notebook-anna", "notebook-leo",
               "notebook-mika"), Behaviour.OFFICE,
              _NOTEBOOK, "StatefulSet", "T4", 1, 1, ("notebooks",), level=(0.1, 0.9)),
    Archetype(("notebook-amara", "notebook-dan", "notebook-elif"), Behaviour.FORGOTTEN, _NOTEBOOK, "StatefulSet",
              "A100-80GB", 1, 1, ("notebooks",)),
    Archetype(("notebook-hugo",), Behaviour.FORGOTTEN, _NOTEBOOK, "StatefulSet", "H100-80GB", 1, 1, ("notebooks",)),
    Archetype(("notebook-nils", "notebook-zoe"), Behaviour.FORGOTTEN, _NOTEBOOK, "StatefulSet", "T4", 1, 1,
              ("notebooks",)),
    Archetype(("notebook-carla", "notebook-wen"), Behaviour.OFFICE, _NOTEBOOK, "StatefulSet", "A100-80GB", 1, 1,
              ("notebooks",), resource=_ONE_SEVENTH),
    Archetype(("notebook-igor", "notebook-ada"), Behaviour.FORGOTTEN, _NOTEBOOK, "StatefulSet", "A100-80GB", 1, 1,
              ("notebooks",), resource=_ONE_SEVENTH),
    # Requests more GPUs than any node has, and stays Pending.
    Archetype(("mega-batch",), Behaviour.CRUNCHING, _BATCH, "Job", "H100-80GB", 1, 16, ("sandbox",)),
    Archetype(("ablation-grid",), Behaviour.CRUNCHING, _BATCH, "Job", "L4", 1, 2, ("science",), gated=True),
)  # fmt: skip
