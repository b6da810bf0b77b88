"""Persona tokens: one new token per code in the vocabulary of any causal LM."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken
from transformers import PreTrainedModel

from feature_store.online.assignment import token
from inference.bundles.bundle import Bundle
from inference.encoders.graph import CODES
from training.errors import ExportError
from training.persona_llm.model.base import Base

TOKENS: Final = tuple(token(code) for code in range(CODES))


def add_persona_tokens(
    base: Base, *, seed: int, code_vectors: NDArray[np.float32] | None = None
) -> NDArray[np.int64]:
    """Add the 256 tokens, in place; returns their ids, int64 [256].

    Their rows start at the mean of the vocabulary's with noise of its spread, which keeps what the model
    knows; or, with code_vectors float32 [256, d], at the same mean and spread along a random projection of
    the codes' vectors: then codes that are alike for the encoder begin alike for the LM (paper: future work).
    """
    model, tokenizer = base.model, base.tokenizer
    before = _tables(model)[0].detach()[: len(tokenizer)].clone()
    tokenizer.add_tokens([AddedToken(name, normalized=False, special=True) for name in TOKENS])
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    ids = np.array(tokenizer.convert_tokens_to_ids(list(TOKENS)), dtype=np.int64)
    random = torch.Generator().manual_seed(seed)
    width = before.shape[1]
    if code_vectors is None:
        direction = torch.randn(CODES, width, generator=random)
    else:
        projection = torch.randn(code_vectors.shape[1], width, generator=random)
        direction = torch.from_numpy(code_vectors) @ projection
        direction = (direction - direction.mean(0)) / direction.std(0).clamp_min(1e-6)
    rows = before.mean(0) + before.std(0) * direction
    with torch.no_grad():
        for embeddings in _tables(model):
            embeddings[torch.from_numpy(ids)] = rows.to(embeddings.dtype)
    return ids


def codebook(bundle: Bundle) -> NDArray[np.float32]:
    """The codes' vectors, float32 [256, 96], as they stand in the encoder's graph."""
    for tensor in onnx.load_from_string(bundle.model).graph.initializer:
        if tensor.name == "codebook":
            return np.array(onnx.numpy_helper.to_array(tensor), dtype=np.float32)
    raise ExportError(f"the encoder {bundle.codebook_version} does not name its codebook; train it again")


def _tables(model: PreTrainedModel) -> list[torch.Tensor]:
    """Input and output embeddings: one tensor where they are tied."""
    given = model.get_input_embeddings().get_parameter("weight")
    output_weight = model.get_output_embeddings().get_parameter("weight")
    return [given] if output_weight.data_ptr() == given.data_ptr() else [given, output_weight]
