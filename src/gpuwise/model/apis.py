"""Use of external model APIs, as an AI gateway counts it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiUse:
    """What one team used of one model in a period.

    Attributes:
        gateway: whose metrics say so: "LiteLLM" or "Envoy AI Gateway".
        team: None if the metrics name none.
        provider: such as "openai"; None if the metrics name none.
        model: as requested; None if the metrics name none.
        usd: dollars that the gateway counted; None if it counts tokens only.
        input_tokens: None if it counts dollars only.
        output_tokens: likewise.
    """

    gateway: str
    team: str | None
    provider: str | None
    model: str | None
    usd: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
