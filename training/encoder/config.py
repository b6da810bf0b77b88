"""Everything that decides how an encoder turns out, in one typed object that is saved beside it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainConfig(BaseModel):
    """Settings of one training run; the same settings on the same data give the same codes.

    Every `*_weight` weighs a term of the loss; 0 leaves it out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, description="seeds the split, the weights, the batches and the codebook")
    epochs: int = Field(30, ge=1, description="at most so many epochs after the warm-up")
    patience: int = Field(10, ge=1, description="stop after so many epochs without a better validation loss")
    batch_size: int = Field(512, ge=2)
    epoch_rows: int = Field(32_768, ge=2, description="rows drawn an epoch")
    learning_rate: float = Field(1e-3, gt=0, description="of Adam; falls to 0 along a cosine")
    validation_share: float = Field(0.1, gt=0, lt=1, description="share of buyers that are held out")
    prefix_share: float = Field(
        0.5, ge=0, lt=1, description="share of drawn rows that are earlier states, not whole histories"
    )
    store_balance: float = Field(
        0.5, ge=0, le=1, description="0 draws buyers alike, 1 stores alike, 0.5 by the root of their buyers"
    )
    varied_share: float = Field(
        0.3, ge=0, le=1, description="share of drawn rows that are varied to a store that does not exist"
    )
    brief_share: float = Field(
        0.1, ge=0, le=1, description="share of drawn rows that are buyers of 1 or 2 events, who differ little"
    )

    relative: bool = Field(True, description="scalars are told relative to buyers with as many events")
    hide_funnel: bool = Field(
        False, description="hide carts, checkouts, purchases and what counts them (for a study of leakage)"
    )
    embedding_weight: float = Field(
        0.5, ge=0, description="variance of the three embeddings together, the 16 scalars' being 1"
    )
    scalars_weight: float = Field(1.0, ge=0, description="rebuilding the scalars")
    embeddings_weight: float = Field(1.0, ge=0, description="rebuilding the embeddings, under their masks")
    masks_weight: float = Field(1.0, ge=0, description="rebuilding the masks")
    engagement_weight: float = Field(0.3, ge=0, description="head for the level of engagement")
    exploration_weight: float = Field(0.3, ge=0, description="head for the level of exploration")
    purchase_weight: float = Field(0.3, ge=0, description="head for how deep into the funnel")
    level_scale: float = Field(
        0.5,
        ge=0,
        description="reach of the latent's coordinates that tell levels, the rest's being 1; 0: none",
    )
    contrastive_weight: float = Field(0.05, ge=0, description="picking out the end of one's own session")
    temperature: float = Field(0.1, gt=0, description="of the contrastive term's softmax")

    quantizer: Literal["ema", "simvq"] = Field("ema", description="how the codebook is learned")
    warmup_epochs: int = Field(
        5, ge=0, description="epochs without a codebook, before it is placed on the latents"
    )
    commitment: float = Field(0.25, ge=0, description="beta of van den Oord et al. 2017")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="decay of the moving averages of use")
    revive_below: float = Field(
        0.03, ge=0, lt=1, description="a code used less than this share of the mean use is drawn anew"
    )

    forecast_epochs: int = Field(12, ge=0, description="epochs of the forecast head; 0 makes no types")
    forecast_dropout: float = Field(0.1, ge=0, lt=1)
