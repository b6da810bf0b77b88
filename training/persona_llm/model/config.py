"""How a persona LLM is trained, in one typed object that is saved beside it."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.persona_llm.traces.traces import Kind

Goals = Literal["neutral", "explicit", "mixed"]
Schedule = Literal["two-stage", "one-stage-mixed", "one-stage-explicit"]


class Stage(BaseModel):
    """So many passes over the traces with goals of one kind; mixed: each trace now with the one, now with
    the other. trainable "tokens": the backbone rests, only the rows of the persona tokens move."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    goals: Goals
    trainable: Literal["tokens", "all"]
    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)


class LlmConfig(BaseModel):
    """Settings of one run; the same settings and traces give the same weights on one machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = Field("small", description="small, smollm2, or the folder of a causal LM")
    seed: int = Field(0, ge=0)
    kind: Kind = Field("after", description="what the tokens know; see traces")
    stages: tuple[Stage, ...]
    batch_size: int = Field(8, ge=1, description="few: small data wants many steps")
    max_tokens: int = Field(192, ge=16, description="longer traces are cut")
    weight_decay: float = Field(0.01, ge=0)
    token_rows: Literal["random", "codes"] = Field(
        "random", description="where the tokens' rows start: at random, or from the codes' vectors"
    )
    token_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of traces shown without a token: what a shopper is like unknown"
    )
    store_dropout: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of traces shown without the store's name: what a store never seen is like",
    )
    plans: bool = Field(
        False, description="whether the model writes a plan before the first action; see plans.py"
    )
    lora_rank: int = Field(
        0, ge=0, description="adapters of this rank instead of all weights; 0: all weights"
    )
    checkpoint_steps: int = Field(50, ge=1, description="steps between two checkpoints to resume from")


_RATES: Final[dict[str, tuple[float, float]]] = {"small": (1e-2, 1.5e-3), "smollm2": (1e-2, 5e-4)}


def stages(schedule: Schedule, base: str, epochs: int) -> tuple[Stage, ...]:
    """The stages of a schedule; each takes the same number of passes in all, so that they compare.

    two-stage is the paper's (section Persona LLM): rows of the tokens on neutral goals, then everything on
    explicit goals.
    """
    rows, whole = _RATES.get(base, _RATES["smollm2"])
    if schedule == "two-stage":
        first = max(1, epochs // 3)
        return (
            Stage(goals="neutral", trainable="tokens", epochs=first, learning_rate=rows),
            Stage(goals="explicit", trainable="all", epochs=max(1, epochs - first), learning_rate=whole),
        )
    goals: Goals = "mixed" if schedule == "one-stage-mixed" else "explicit"
    return (Stage(goals=goals, trainable="all", epochs=epochs, learning_rate=whole),)
