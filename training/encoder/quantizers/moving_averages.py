"""A vector quantiser with a codebook learned by exponential moving averages.

van den Oord et al. 2017 (arXiv 1711.00937): k = argmin ||z - e_k||, straight-through gradient and
commitment loss (section 3.2), EMA updates (appendix A.1). Codes that fall out of use restart at a
random encoder output (Dhariwal et al. 2020, arXiv 2005.00341, section 3.1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.encoder.quantizers.codebook import nearest_code, place_codes, straight_through

_EPSILON = 1e-5  # Laplace smoothing of the use counts, as in the authors' code


class EmaQuantizer(nn.Module):
    """Codebook float32 [codes, size]; calling it returns (quantized, indices, loss).

    quantized float32 [n, size] carries the straight-through gradient, indices int64 [n], loss is the
    commitment term, not yet weighted. In training mode every call also moves the codebook.
    """

    codebook: Tensor
    uses: Tensor
    sums: Tensor

    def __init__(
        self, codes: int, size: int, *, decay: float = 0.99, revive_below: float = 0.03, seed: int = 0
    ) -> None:
        super().__init__()
        self.decay = decay
        self.revive_below = revive_below
        self._random = torch.Generator().manual_seed(seed)
        self._seed = seed
        codebook = torch.randn(codes, size, generator=self._random)
        self.register_buffer("codebook", codebook)
        self.register_buffer("uses", torch.ones(codes))
        self.register_buffer("sums", codebook.clone())

    @torch.no_grad()
    def initialise(self, latents: Tensor) -> None:
        """Place the codes on latents float32 [n, size], n >= codes."""
        centres, counts = place_codes(latents, len(self.codebook), self._seed)
        self.codebook.copy_(torch.from_numpy(centres))
        self.uses.copy_(torch.from_numpy(counts / counts.mean()))
        self.sums.copy_(self.codebook * self.uses[:, None])

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise latents float32 [n, size]."""
        indices = nearest_code(latents, self.codebook)
        quantized = self.codebook[indices]
        if self.training:
            self._update(latents.detach(), indices)
        return straight_through(latents, quantized), indices, F.mse_loss(latents, quantized)

    @torch.no_grad()
    def _update(self, latents: Tensor, indices: Tensor) -> None:
        chosen = F.one_hot(indices, len(self.codebook)).to(latents.dtype)
        self.uses.lerp_(chosen.sum(dim=0), 1 - self.decay)
        self.sums.lerp_(chosen.T @ latents, 1 - self.decay)
        total = self.uses.sum()
        smoothed = (self.uses + _EPSILON) / (total + len(self.uses) * _EPSILON) * total
        self.codebook.copy_(self.sums / smoothed[:, None])
        self._revive(latents)

    def _revive(self, latents: Tensor) -> None:
        mean = self.uses.mean()
        dead = torch.nonzero(self.uses < self.revive_below * mean).squeeze(1)
        if len(dead) == 0:
            return
        rows = torch.randint(len(latents), (len(dead),), generator=self._random)
        fresh = latents[rows.to(latents.device)]
        self.codebook[dead] = fresh
        self.uses[dead] = mean  # as if of average use, so that it gets time to win rows
        self.sums[dead] = fresh * mean

    def get_extra_state(self) -> Tensor:
        """What the next revival draws from, so that a resumed run draws what the other would have."""
        return self._random.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Go on drawing from there."""
        self._random.set_state(state.cpu())
