"""The folder of a saved model: what it is, its learned numbers, and a card for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from envs import UserError
from envs.files import write_atomically

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "card.md"


def save_model(
    folder: Path | str, what: str, config: Mapping[str, Any], arrays: Mapping[str, NDArray], card: str
) -> None:
    """Saves a model as a folder: config.json, model.safetensors and card.md.

    Args:
        folder: made if it does not exist.
        what: "generator", in messages.
        config: all that says what the model is; plain data.
        arrays: its learned numbers.
        card: Markdown.

    Raises:
        UserError: the folder cannot be written; files that were there stay whole.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The {what} cannot be saved in {target}: {error.strerror}; choose another folder.") from error
    write_atomically(target / WEIGHTS_FILE, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    write_atomically(target / CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())
    write_atomically(target / CARD_FILE, card.encode())
