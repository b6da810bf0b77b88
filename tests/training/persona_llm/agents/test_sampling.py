"""Drawing a token: the law of temperature, the syntax, and guidance, on given logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.persona_llm.agents.sampling import exaggerated, sample

pytestmark = pytest.mark.numeric

LOGITS = np.array([2.0, 1.0, 0.0, -1.0, 3.0])
ALLOWED = np.array([True, True, True, True, False])
DRAWS = 10_000


class EvenDraws(np.random.Generator):
    """In place of chance: the middle of each of n equal parts of [0, 1), so that shares are exact to 1/n."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64())

    def random(self, n: int) -> np.ndarray:  # type: ignore[override]
        return (np.arange(n) + 0.5) / n


def shares(temperature: float) -> np.ndarray:
    """How often each token is drawn."""
    logits = torch.from_numpy(LOGITS).float().repeat(DRAWS, 1)
    drawn = sample(logits, np.tile(ALLOWED, (DRAWS, 1)), EvenDraws(), temperature)
    return np.bincount(drawn, minlength=len(LOGITS)) / DRAWS


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_tokens_come_by_the_softmax_of_logits_over_temperature_among_the_allowed(temperature: float) -> None:
    weights = np.where(ALLOWED, np.exp(LOGITS / temperature), 0.0)
    np.testing.assert_allclose(shares(temperature), weights / weights.sum(), atol=2 / DRAWS)


def test_the_colder_the_more_often_the_likeliest_and_in_the_end_nothing_else() -> None:
    likeliest = [shares(temperature)[0] for temperature in (4.0, 1.0, 0.3, 0.01)]
    assert likeliest == sorted(likeliest)
    assert likeliest[-1] == 1.0


def test_logits_beyond_the_vocabulary_are_padding_and_never_drawn() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 9.0]])
    tokens = {
        int(sample(logits, np.ones((1, 3), bool), np.random.default_rng(seed), 1.0)[0]) for seed in range(50)
    }
    assert tokens == {0, 1, 2}


def test_guidance_goes_from_nobody_through_the_persona_and_beyond() -> None:
    persona, nobody = torch.tensor([[1.0, 4.0]]), torch.tensor([[3.0, 2.0]])
    moved = [exaggerated(persona, nobody, guidance).tolist() for guidance in (0.0, 1.0, 3.0)]
    assert moved == [nobody.tolist(), persona.tolist(), [[-3.0, 8.0]]]
