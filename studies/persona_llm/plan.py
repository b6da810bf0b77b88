"""What an evaluation runs: models, the ways that they are asked to play, and how validation chooses."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from studies.encoder.plan import BRIEF
from studies.persona_llm.part_names import PARTS, Part
from training.persona_llm.model.config import Schedule
from training.persona_llm.model.prompts import GoalKind
from training.persona_llm.traces.traces import Split

Tokens = Literal["everything", "early", "before", "trace", "profile"]
"""What stands before the goal. everything, early, before: the encoder's token of that kind (traces.KINDS);
trace: a code made from the session's own actions alone (trace_codes.py); profile: no token, a line of text
that says what the buyer's vector of everything says."""
Pairing = Literal["matched", "random", "other", "opposite", "none"]
"""Whose token an agent gets: the session's own; that of a random session of the store; of one of another
stratum; of the stratum farthest away; none."""


class Fit(BaseModel):
    """One model to train. config: what differs from LlmConfig's defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: Tokens = "everything"
    seed: int = 0
    held_out: str | None = None
    schedule: Schedule = "one-stage-mixed"
    base: str = "small"
    epochs: int = 10
    config: dict[str, Any] = {}

    @property
    def title(self) -> str:
        """For the progress line."""
        without = f" without {self.held_out}" if self.held_out else ""
        changed = "".join(f" {name}={value}" for name, value in self.config.items())
        return f"{self.base}, token of {self.tokens}, {self.schedule}, seed {self.seed}{without}{changed}"


class Play(BaseModel):
    """One simulation of each judged session: side, token, goal; draws: simulations per session; held: whether
    agents are kept to their plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fit: Fit
    side: Split = "test"
    pairing: Pairing = "matched"
    goal: GoalKind = "neutral"
    temperature: float = 1.0
    guidance: float = 1.0
    draws: int = 1
    held: bool = True


class Likelihood(BaseModel):
    """Log-likelihood of each judged session, neutral goals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fit: Fit
    side: Split = "test"
    pairing: Pairing = "matched"


Task = Play | Likelihood
IN_STORE: Final[tuple[tuple[Pairing, GoalKind], ...]] = (
    ("matched", "neutral"),
    ("random", "neutral"),
    ("none", "neutral"),
    ("other", "neutral"),
    ("opposite", "neutral"),
    ("matched", "explicit"),
    ("none", "explicit"),
    ("matched", "wrong"),
)
"""Whose token and which goal, in-store; held out only those with neutral goals."""
BRIEFLY: Final = (*IN_STORE[:3], *IN_STORE[5:7])
"""The same where a seed is none of few_seeds."""
LIKELIHOODS: Final[tuple[Pairing, ...]] = ("matched", "random", "none")
SCHEDULES: Final[tuple[Schedule, ...]] = ("two-stage", "one-stage-mixed", "one-stage-explicit")
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "rows_from_codes": {"token_rows": "codes", "plans": True},
    "rows_at_random": {"token_rows": "random", "plans": True},
    "without_plan": {"token_rows": "codes", "plans": False},
}
"""What validation chooses among, by its name in the report, and what then stands beside the choice."""
CHOICE_DRAWS: Final = 2
"""Simulated sessions a validation one."""
LM_DRAWS: Final = 3
"""Simulated sessions a judged one in part b, where little is there to be seen."""
RULE: Final = (
    "on in-store validation buyers, seed 0: of models (token rows begun at the codes' vectors or at random, "
    "with a plan or without) and of ways to draw (temperature, guidance), the model of the pair with the "
    "highest ARA of the matched token on neutral goals; then, for this model, the way to draw with the "
    "highest mean of that and of the same on validation buyers of the stores held out, by models that were "
    "not trained on them. Guidance exaggerates the token against the goal: goals that ask for something "
    "are played without"
)


class Plan(BaseModel):
    """The size of an evaluation.

    few_seeds: of ablations and of the settings beside the circular one. held_out_epochs: of models for a
    store that they were not trained on; longer trained ones lean on the stores that they know. sampling:
    pairs of temperature and guidance (agents.simulate) that validation chooses among.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[int, ...] = (0, 1, 2)
    few_seeds: tuple[int, ...] = (0,)
    held_out: tuple[str, ...] = ()
    parts: tuple[Part, ...] = PARTS
    base: str = "small"
    epochs: int = 10
    held_out_epochs: int = 6
    sampling: tuple[tuple[float, float], ...] = ((1.0, 1.0), (0.8, 1.0), (1.0, 1.5), (1.0, 2.0))
    encoder: dict[str, Any] = BRIEF

    def fit(self, **fields: Any) -> Fit:
        """A model of this size."""
        epochs = self.held_out_epochs if fields.get("held_out") else self.epochs
        return Fit.model_validate({"base": self.base, "epochs": epochs} | fields)

    def candidates(self) -> list[Play]:
        """What validation chooses among; without the part "ablations" only the ways to draw from the first
        variant, since each variant is a training more."""
        variants = list(VARIANTS.values())
        if "ablations" not in self.parts:
            variants = variants[:1]
        return [play for config in variants for play in self.ways_to_draw(self.fit(config=config))]

    def ways_to_draw(self, fit: Fit) -> list[Play]:
        """Simulations of validation sessions by one model, one a pair of `sampling`."""
        return [
            Play(fit=fit, side="validation", temperature=temperature, guidance=guidance, draws=CHOICE_DRAWS)
            for temperature, guidance in self.sampling
        ]


class Chosen(BaseModel):
    """A plan with what validation chose."""

    model_config = ConfigDict(frozen=True)

    plan: Plan
    config: dict[str, Any]
    temperature: float
    guidance: float

    def fit(self, **fields: Any) -> Fit:
        """A model as chosen, but for `fields`."""
        return self.plan.fit(**{"config": self.config} | fields)

    def play(
        self, fit: Fit, pairing: Pairing, goal: GoalKind = "neutral", *, draws: int = 1, held: bool = True
    ) -> Play:
        """A simulation of test sessions, drawn as chosen."""
        guided = goal == "neutral" and pairing != "none"
        how = {"temperature": self.temperature, "guidance": self.guidance if guided else 1.0}
        return Play.model_validate(
            {"fit": fit, "pairing": pairing, "goal": goal, "draws": draws, "held": held} | how
        )

    def tasks(self) -> list[Task]:
        """All that is to be done, the first seed of everything first."""
        first = self.plan.seeds[0]
        tasks = self._circular(first) + self._beside(first)
        for seed in self.plan.seeds[1:]:
            tasks += self._circular(seed)
            if seed in self.plan.few_seeds:
                tasks += self._beside(seed)
        return tasks

    def _circular(self, seed: int) -> list[Task]:
        tasks: list[Task] = []
        if "in_store" in self.plan.parts:
            fit = self.fit(seed=seed)
            tasks += [self.play(fit, *asked) for asked in self._asked(seed)]
            tasks += [Likelihood(fit=fit, pairing=pairing) for pairing in LIKELIHOODS]
        for store in self.plan.held_out if "held_out" in self.plan.parts else ():
            fit = self.fit(seed=seed, held_out=store)
            tasks += [self.play(fit, *asked) for asked in self._asked(seed) if asked[1] == "neutral"]
            tasks += [Likelihood(fit=fit, pairing=pairing) for pairing in LIKELIHOODS]
        return tasks

    def _asked(self, seed: int) -> tuple[tuple[Pairing, GoalKind], ...]:
        return IN_STORE if seed in self.plan.few_seeds else BRIEFLY

    def _beside(self, seed: int) -> list[Task]:
        tasks: list[Task] = []
        if "prediction" in self.plan.parts:
            for tokens in ("early", "before"):
                tasks += self.predicting(self.fit(tokens=tokens, seed=seed))
        if "loop" in self.plan.parts:
            tasks.append(self.play(self.on_actions(seed), "matched"))
        if "goals" in self.plan.parts:
            for schedule in SCHEDULES:
                goals: tuple[GoalKind, ...] = ("neutral", "explicit", "wrong")
                tasks += [
                    self.play(self.fit(seed=seed, schedule=schedule), "matched", goal) for goal in goals
                ]
        if "ablations" in self.plan.parts:
            tasks += [self.play(self.variant(name, seed), "matched") for name in VARIANTS]
            tasks.append(self.play(self.fit(seed=seed), "matched", held=False))
        if "profile" in self.plan.parts:
            tasks.append(self.play(self.with_profile(seed), "matched"))
        return tasks

    def predicting(self, fit: Fit) -> list[Task]:
        """Part b of one model."""
        tasks: list[Task] = [self.play(fit, pairing, draws=LM_DRAWS) for pairing in ("matched", "random")]
        return tasks + [Likelihood(fit=fit, pairing=pairing) for pairing in ("matched", "random")]

    def on_actions(self, seed: int) -> Fit:
        """The model whose tokens are codes of a session's own actions; these have no vectors to begin at."""
        return self.fit(tokens="trace", seed=seed, config=self.config | {"token_rows": "random"})

    def with_profile(self, seed: int) -> Fit:
        """The model that reads a line of words in place of a token."""
        return self.fit(tokens="profile", seed=seed, config=self.config | {"token_rows": "random"})

    def variant(self, name: str, seed: int) -> Fit:
        """One of VARIANTS."""
        return self.fit(seed=seed, config=VARIANTS[name])
