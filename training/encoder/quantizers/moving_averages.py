"""A vector quantiser with a codebook learned by exponential moving averages, cut into fact cells.

van den Oord et al. 2017 (arXiv 1711.00937): k = argmin ||z - e_k||, straight-through gradient and
commitment loss (section 3.2), EMA updates (appendix A.1). Codes that fall out of use restart at a
random encoder output of their cell (Dhariwal et al. 2020, arXiv 2005.00341, section 3.1).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.encoder.quantizers.codebook import (
    codes_per_cell,
    place_codes,
    square_distances,
    straight_through,
)

_TWINS = 1e-3
"""Nearer than this two codes are one; latents are some ten long."""
_OUT_OF_REACH = 100.0
_EPSILON = 1e-5  # Laplace smoothing of the use counts, as in the authors' code


class EmaQuantizer(nn.Module):
    """Codebook float32 [codes, size] and the cell of each code, int64 [codes]; calling it returns
    (quantized, indices, loss).

    quantized float32 [n, size] carries the straight-through gradient, indices int64 [n], loss is the
    commitment term, not yet weighted. In training mode every call also moves the codebook.
    """

    codebook: Tensor
    cell_of_code: Tensor
    uses: Tensor
    sums: Tensor

    def __init__(
        self,
        codes: int,
        size: int,
        cells: int,
        *,
        decay: float = 0.99,
        revive_below: float = 0.03,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.decay = decay
        self.revive_below = revive_below
        self._random = torch.Generator().manual_seed(seed)
        self._seed = seed
        self._cells = cells
        codebook = torch.randn(codes, size, generator=self._random)
        self.register_buffer("codebook", codebook)
        self.register_buffer("cell_of_code", torch.arange(codes) % cells)
        self.register_buffer("uses", torch.ones(codes))
        self.register_buffer("sums", codebook.clone())

    @torch.no_grad()
    def initialise(self, latents: Tensor, cells: Tensor) -> None:
        """Give every cell its codes and place them on latents float32 [n, size] of cells int64 [n], n > 0."""
        rows, of = latents.cpu().double().numpy(), cells.cpu().numpy()
        sizes = codes_per_cell(np.bincount(of, minlength=self._cells), len(self.codebook))
        placed, counts = [], []
        for cell, codes in enumerate(sizes.tolist()):
            mine = rows[of == cell]
            centres, count = place_codes(mine if len(mine) else rows, codes, self._seed)
            placed.append(centres)
            counts.append(count * bool(len(mine)))
        used = np.concatenate(counts)
        self.cell_of_code.copy_(torch.from_numpy(np.repeat(np.arange(self._cells), sizes)))
        self.codebook.copy_(torch.from_numpy(np.concatenate(placed)))
        self.uses.copy_(torch.from_numpy(used / used.mean()))
        self.sums.copy_(self.codebook * self.uses[:, None])

    @torch.no_grad()
    def part_twins(self) -> None:
        """Move codes that lie where an earlier code of their cell does out of everybody's reach.

        Cells with fewer kinds of rows than codes have such codes. Which of two is nearest is then a matter
        of the last bit, and so of the runtime.
        """
        apart = torch.cdist(self.codebook.double(), self.codebook.double())
        is_same_cell = self.cell_of_code[:, None] == self.cell_of_code
        twins = ((apart < _TWINS) & is_same_cell).tril(diagonal=-1).any(dim=1)
        self.codebook[twins] = _OUT_OF_REACH
        self.uses[twins], self.sums[twins] = 0.0, 0.0

    def nearest(self, latents: Tensor, cells: Tensor) -> Tensor:
        """Indices int64 [n] of the codes nearest to latents float32 [n, size] of cells int64 [n]."""
        return square_distances(latents, cells, self.codebook, self.cell_of_code).argmin(dim=1)

    def forward(self, latents: Tensor, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise latents float32 [n, size] of cells int64 [n]."""
        indices = self.nearest(latents, cells)
        quantized = self.codebook[indices]
        if self.training:
            self._update(latents.detach(), cells, indices)
        return straight_through(latents, quantized), indices, F.mse_loss(latents, quantized)

    @torch.no_grad()
    def _update(self, latents: Tensor, cells: Tensor, indices: Tensor) -> None:
        chosen = F.one_hot(indices, len(self.codebook)).to(latents.dtype)
        self.uses.lerp_(chosen.sum(dim=0), 1 - self.decay)
        self.sums.lerp_(chosen.T @ latents, 1 - self.decay)
        total = self.uses.sum()
        smoothed = (self.uses + _EPSILON) / (total + len(self.uses) * _EPSILON) * total
        self.codebook.copy_(self.sums / smoothed[:, None])
        self._revive(latents, cells)

    def _revive(self, latents: Tensor, cells: Tensor) -> None:
        """Draw anew, among the batch's latents of their cell, codes of little use for their cell."""
        uses = torch.zeros(self._cells, device=latents.device).index_add(0, self.cell_of_code, self.uses)
        mean = (uses / torch.bincount(self.cell_of_code, minlength=self._cells).clamp(min=1))[
            self.cell_of_code
        ]
        for code in torch.nonzero(self.uses < self.revive_below * mean).squeeze(1).tolist():
            mine = torch.nonzero(cells == self.cell_of_code[code]).squeeze(1)
            if len(mine) == 0:
                continue
            row = int(torch.randint(len(mine), (1,), generator=self._random))
            self.codebook[code] = latents[mine[row]]
            self.uses[code] = mean[code]  # as if of average use, so that it gets time to win rows
            self.sums[code] = self.codebook[code] * mean[code]

    def get_extra_state(self) -> Tensor:
        """What the next revival draws from, so that a resumed run draws what the other would have."""
        return self._random.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Go on drawing from there."""
        self._random.set_state(state.cpu())
