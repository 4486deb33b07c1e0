"""The words model: a lexicon and two towers, which reads prompts, finds levels by words, and is saved as a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs import UserError
from envs.records import read_config
from generators.devices import check_device
from generators.generator import load_arrays_of
from generators.options import options_of
from generators.saving import WEIGHTS_FILE, save_model
from generators.words.bands import BandTable
from generators.words.features import ANYTHING, Interval
from generators.words.lexicon import Lexicon
from generators.words.pieces import PieceTable
from generators.words.reading import Prompt, Senses, make_prompt, read_prompt
from generators.words.saved import KIND, LEXICON, config_path
from generators.words.scoring import caption_scores
from generators.words.towers import Config, Towers

#: How many texts or levels go through a tower at a time.
_CHUNK = 256

#: What the learned reader says of a prompt counts where it is at least this sure of every band of a feature.
SURE = 0.9

#: How much the towers' similarity, in [-1, 1], counts beside the score by measured features: enough to order levels
#: that meet a prompt equally well.
_TOWER_SHARE = 0.05

#: The ways to rank levels.
RANKINGS = ("both", "measured", "towers")


class WordsModel:
    """Reads prompts and ranks levels by them.

    Args:
        lexicon: what levels can be asked for.
        config: the towers' architecture; None takes the defaults.
        vocabulary: the words that the text tower has pieces for; None takes the lexicon's.
    """

    def __init__(self, lexicon: Lexicon, config: Config | None = None, vocabulary: Sequence[str] | None = None) -> None:
        self.lexicon = lexicon
        self.config = config or Config()
        self.pieces = PieceTable(lexicon.vocabulary if vocabulary is None else vocabulary)
        self.bands = BandTable(lexicon)
        self.device = "cpu"
        self.towers = self.new_towers(0)
        #: What else the saved configuration says: corpus, training, scores; plain data.
        self.facts: dict[str, Any] = {}

    def new_towers(self, seed: int) -> Towers:
        """Returns towers with first weights that follow from a seed, on the model's device."""
        tiles = len(self.lexicon.task().tiles)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            towers = Towers(self.config, len(self.lexicon.shape), tiles, self.pieces.size, self.bands.size)
            return towers if torch.get_default_device().type == "meta" else towers.to(self.device).eval()

    def to(self, device: str) -> WordsModel:
        """Moves the towers to a device; returns the model."""
        self.device = check_device(device)
        self.towers.to(device)
        return self

    def parameters(self) -> int:
        """Returns how many weights the towers have."""
        return sum(weights.numel() for weights in self.towers.parameters())

    def text_vectors(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns the vectors of texts, float32 (n, size), and how likely each band is open, float32 (n, bands)."""
        vectors, logits = self._through(self.towers.text, self.pieces.encode(texts))
        return vectors, (1 / (1 + np.exp(-logits))).astype(np.float32)

    def level_vectors(self, levels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the vectors of levels, float32 (n, size).

        Raises:
            UserError: the levels are not of the model's problem and shape.
        """
        return self._through(self.towers.level, self._checked(levels).astype(np.int64))[0]

    def similarities(self, texts: Sequence[str], levels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns how near texts and levels are, float64 (texts, levels) in [-1, 1]."""
        return (self.text_vectors(texts)[0] @ self.level_vectors(levels).T).astype(np.float64)

    def read(self, text: str, senses: Senses | None = None) -> Prompt:
        """Reads a prompt: by the grammar, and where that leaves words over by the text tower too.

        What the tower is sure of is added where the grammar read nothing, and narrows down what it read.

        Args:
            text: the prompt.
            senses: finds known wordings that mean what unknown words do; see `read_prompt`.

        Raises:
            UserError: the text is empty or too long.
        """
        prompt = read_prompt(text, self.lexicon, senses)
        if not prompt.unread:
            return prompt
        learned = self.read_learned([text], SURE)[0]
        added = {
            name: interval
            for name, interval in learned.items()
            if _narrower(interval, prompt.asked.get(name, ANYTHING))
        }
        if not added:
            return prompt
        features = self.lexicon.features
        told = " and ".join(features[self.lexicon.places[name]].told(interval) for name, interval in added.items())
        words = " and ".join(map(repr, prompt.unread))
        note = f"The learned reader, which may be wrong, takes {words} to ask for {told}."
        known = make_prompt(self.lexicon, text, {**prompt.asked, **added})
        return replace(known, missing=prompt.missing, notes=(*prompt.notes, note), unread=prompt.unread)

    def read_learned(self, texts: Sequence[str], sure: float = 0.5) -> list[dict[str, Interval]]:
        """Reads texts by the text tower alone: the bands that it takes for open.

        Args:
            texts: the prompts.
            sure: leave out features of which it is less sure in any band.
        """
        chances = self.text_vectors(texts)[1]
        is_open = chances >= 0.5
        for places in self.bands.places:
            # A band at least is open, if only the likeliest.
            closed = ~is_open[:, places].any(axis=1)
            is_open[closed, places.start + chances[closed, places].argmax(axis=1)] = True
        found = self.bands.intervals(is_open)
        doubtful = np.maximum(chances, 1 - chances) < sure
        for row, asked in zip(doubtful, found, strict=True):
            for name in list(asked):
                if row[self.bands.places[self.lexicon.places[name]]].any():
                    del asked[name]
        return found

    def rerank(
        self, levels: NDArray[np.uint8], text: str, by: str = "both", prompt: Prompt | None = None
    ) -> NDArray[np.float64]:
        """Scores levels by how well they meet a prompt.

        Args:
            levels: uint8 (n, *shape).
            text: the prompt.
            prompt: how it was read, where that is known already.
            by: "measured" (the score of measured features), "towers" (the vectors' nearness), or both, which is the
                first with a little of the second.

        Returns:
            float64 (n,), the greater the better.

        Raises:
            UserError: the text, the levels or `by` cannot be used.
        """
        if by not in RANKINGS:
            raise UserError(f"Levels are ranked by {', '.join(RANKINGS)}; got {by!r}.")
        batch = self._checked(levels)
        asked = (prompt or self.read(text)).asked
        scores = np.zeros(len(batch))
        if by != "towers":
            scores += caption_scores(self.lexicon, [asked], self.lexicon.values(batch))[0]
        if by != "measured":
            scores += (1.0 if by == "towers" else _TOWER_SHARE) * self.similarities([text], batch)[0]
        return scores

    def save_pretrained(self, folder: Path | str, card: str = "") -> None:
        """Saves the model as a folder: config.json, model.safetensors and card.md.

        Args:
            folder: made if it does not exist.
            card: the text of the card; by default what the model knows of itself.

        Raises:
            UserError: the folder cannot be written; files that were there stay whole.
        """
        config = {
            "kind": KIND,
            LEXICON: self.lexicon.plain(),
            "config": asdict(self.config),
            "vocabulary": list(self.pieces.vocabulary),
            **self.facts,
        }
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in self.towers.state_dict().items()}
        save_model(folder, "model", config, arrays, card or self.card())

    def card(self) -> str:
        """Returns the text of the model's card."""
        lexicon = self.lexicon
        bands = [
            f"- {feature.noun.plural if feature.noun.counted else feature.noun.singular}: "
            + ", ".join(f"{band.name} {_written(band.low, band.high)}" for band in feature.bands)
            for feature in lexicon.features
            if feature.varied
        ]
        lines = [
            f"# Words for {lexicon.problem}",
            "",
            f"A lexicon and two towers (Radford 2021) for {lexicon.problem} levels of shape {lexicon.shape}.",
            f"{self.parameters():,} learned numbers, and {len(self.pieces.vocabulary)} known words.",
            "",
            "## What few and many are",
            "",
            *bands,
            "",
            "## Data",
            "",
            *self.facts.get("corpus_card", ["Not recorded."]),
            "",
            "## Limits",
            "",
            "Wordings of the grammar are read exactly; what the text tower makes of others may be wrong. The towers",
            "know their corpus's kind of level and no other.",
        ]
        return "\n".join(lines) + "\n"

    def _checked(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        batch = self.lexicon.task().check_levels(levels)
        if batch.shape[1:] != self.lexicon.shape:
            raise UserError(
                f"The model is for {self.lexicon.problem} levels of shape {self.lexicon.shape}; got {batch.shape[1:]}."
            )
        return batch

    def _through(self, tower: torch.nn.Module, inputs: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        tower.eval()
        parts = []
        with torch.no_grad():
            for first in range(0, len(inputs), _CHUNK):
                part = torch.from_numpy(inputs[first : first + _CHUNK]).to(self.device)
                parts.append([out.cpu().numpy() for out in tower(part)])
        return np.concatenate([vectors for vectors, _ in parts]), np.concatenate([logits for _, logits in parts])


def _narrower(interval: Interval, other: Interval) -> bool:
    """Tells whether an interval is a part of another, and not all of it."""
    return interval != other and other[0] <= interval[0] and interval[1] <= other[1]


def _written(low: float, high: float) -> str:
    if high == np.inf:
        return f"from {low:g}"
    return f"{high:g}" if low in (high, -np.inf) else f"{low:g} to {high:g}"


def load_words(folder: Path | str) -> WordsModel:
    """Loads a model that `WordsModel.save_pretrained` saved. Nothing in the folder is executed.

    Args:
        folder: of the model, or of the run that trained it.

    Raises:
        UserError: a file is missing, damaged, or does not fit the others or the problem.
    """
    path = config_path(folder)
    config = read_config(path)
    try:
        lexicon = Lexicon.parse(config[LEXICON])
        options: Any = options_of(Config, config["config"], "setting of the towers")
        vocabulary = config["vocabulary"]
        if not (isinstance(vocabulary, list) and all(isinstance(word, str) for word in vocabulary)):
            raise TypeError("its vocabulary is no list of words")
    except UserError as error:
        raise UserError(f"{path} cannot be used: {str(error).rstrip('.')}; train the model again.") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}); train the model again.") from error
    weights = path.parent / WEIGHTS_FILE
    arrays = load_arrays_of(weights)
    try:
        with torch.device("meta"):
            described = sum(weight.numel() for weight in WordsModel(lexicon, options, vocabulary).towers.parameters())
        if described != sum(array.size for array in arrays.values()):
            raise ValueError("config.json describes another number of weights")
        model = WordsModel(lexicon, options, vocabulary)
        model.towers.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    except (RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{weights} is damaged or of another model than config.json says ({reason}); save the model again."
        ) from error
    described_by = ("kind", LEXICON, "config", "vocabulary")
    model.facts = {key: value for key, value in config.items() if key not in described_by}
    return model
