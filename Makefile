# Two commands are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
# How many processes run the tests; each takes some 2 GB.
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint benchmark readme clean

demo: $(STAMP)
	$(BIN)/python -m experiments.pcgrl --name demo --overwrite

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 SDL_VIDEODRIVER=dummy SDL_AUDIODRIVER=dummy $(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

benchmark: $(STAMP)
	$(BIN)/python -m benchmarks.environments

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

readme: $(STAMP)
	$(BIN)/python -m experiments.catalogue --write README.md --games docs/games.md --generators docs/generators.md --words docs/words.md

clean:
	rm -rf $(VENV) runs
