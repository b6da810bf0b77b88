"""Everything that decides how an encoder turns out, in one typed object that is saved beside it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TrainConfig(BaseModel):
    """Settings of one training run; the same settings on the same data give the same codes.

    Every `*_weight` weighs a term of the loss; 0 leaves it out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, description="seeds the split, the weights, the batches and the codebook")
    epochs: int = Field(12, ge=1, description="at most so many epochs after the warm-up")
    patience: int = Field(5, ge=1, description="stop after so many epochs without a better validation loss")
    batch_size: int = Field(512, ge=2)
    epoch_rows: int = Field(32_768, ge=2, description="rows drawn an epoch")
    learning_rate: float = Field(2e-3, gt=0, description="of Adam; falls to 0 along a cosine")
    validation_share: float = Field(0.1, gt=0, lt=1, description="share of buyers that are held out")

    outcomes_weight: float = Field(2.0, ge=0, description="what comes, read from the code and the latent")
    rebuilding_weight: float = Field(0.3, ge=0, description="rebuilding the numbers and masks")
    teacher_share: float = Field(
        0.7,
        ge=0,
        le=1,
        description="share of the teachers' chance in what is taught, the rest being yes or no",
    )

    warmup_epochs: int = Field(
        5, ge=0, description="epochs without a codebook, before it is placed on the latents"
    )
    commitment: float = Field(0.25, ge=0, description="beta of van den Oord et al. 2017")
    ema_decay: float = Field(0.98, ge=0, lt=1, description="decay of the moving averages of use")
    revive_below: float = Field(
        0.03, ge=0, lt=1, description="a code used less than this share of its cell's mean is drawn anew"
    )

    forecast_epochs: int = Field(8, ge=0, description="epochs of the forecast head; 0 makes no types")
