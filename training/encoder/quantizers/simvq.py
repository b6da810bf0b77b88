"""A vector quantiser whose codes are one linear map of a frozen codebook.

SimVQ (Zhu et al. 2024, arXiv 2411.02038, section 4): e_k = c_k W with c frozen and W learned, so that the
gradient of every used code moves all of them and none dies. There c is random; here it is placed on the
latents by k-means++ and W starts as the identity, as the EMA quantiser is placed, to compare like with like.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.encoder.quantizers.codebook import nearest_code, place_codes, straight_through


class SimQuantizer(nn.Module):
    """Codebook float32 [codes, size]; calling it returns (quantized, indices, loss) as EmaQuantizer does.

    loss is the commitment term plus, as the codebook learns by gradient here, the codebook term of van den
    Oord et al. 2017 (equation 3) divided by beta: weighted by `commitment`, it then has weight 1.
    """

    base: Tensor

    def __init__(self, codes: int, size: int, *, commitment: float = 0.25, seed: int = 0) -> None:
        super().__init__()
        self._codebook_weight = 1.0 / max(commitment, 1e-3)
        self._seed = seed
        self.register_buffer("base", torch.randn(codes, size, generator=torch.Generator().manual_seed(seed)))
        self.map = nn.Linear(size, size, bias=False)
        nn.init.eye_(self.map.weight)

    @property
    def codebook(self) -> Tensor:
        """The codes as they stand, float32 [codes, size]."""
        codes: Tensor = self.map(self.base)
        return codes

    @torch.no_grad()
    def initialise(self, latents: Tensor) -> None:
        """Place the codes on latents float32 [n, size], n >= codes."""
        centres, _ = place_codes(latents, len(self.base), self._seed)
        self.base.copy_(torch.from_numpy(centres))
        nn.init.eye_(self.map.weight)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise latents float32 [n, size]."""
        codebook = self.codebook
        indices = nearest_code(latents.detach(), codebook.detach())
        quantized = codebook[indices]
        commitment = F.mse_loss(latents, quantized.detach())
        learning = F.mse_loss(quantized, latents.detach())
        return straight_through(latents, quantized), indices, commitment + self._codebook_weight * learning
