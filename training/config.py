"""Everything that decides how an encoder turns out, in one typed object that is saved beside it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TrainConfig(BaseModel):
    """Settings of one training run; the same settings on the same data give the same codes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, description="seeds the split, the weights, the batches and the codebook")
    epochs: int = Field(60, ge=1, description="at most so many passes over the training rows")
    patience: int = Field(6, ge=1, description="stop after so many epochs without a better validation loss")
    batch_size: int = Field(512, ge=2)
    learning_rate: float = Field(1e-3, gt=0, description="of Adam; falls to 0 along a cosine")
    validation_share: float = Field(0.1, gt=0, lt=1, description="share of buyers that are held out")
    prefixes: tuple[int, ...] = Field(
        (1, 3, 5, 10, 20), description="a buyer also appears as they looked after so many events"
    )

    warmup_epochs: int = Field(
        5, ge=0, description="epochs as a plain autoencoder, before the codebook is placed on its latents"
    )
    commitment: float = Field(0.25, ge=0, description="beta of van den Oord et al. 2017")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="decay of the codebook's moving averages")
    revive_below: float = Field(
        0.03, ge=0, lt=1, description="a code used less than this share of the mean use is drawn anew"
    )
    embedding_weight: float = Field(
        0.5, ge=0, description="variance of the three embeddings together, the 16 scalars' being 1"
    )
