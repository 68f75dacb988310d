# make mini   set up .venv from the lock, run the embedded suite, show its headline table
# make test   the same environment; formatting, lint, types, import contracts, tests
# make test-all   and the tests that take long or need a quiet machine or Slurm
# make rule-graph   draw the picture of the rules again
# make docs   build the documentation site into site/; a broken link is an error
#
# PYTHON=python3.12 picks the interpreter (3.11 or newer), CORES=2 bounds the jobs at a time,
# WORKERS=1 the tests at a time.

PYTHON ?= python3
CORES ?= all
WORKERS ?= auto
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MINI := --configfile config/mini.yaml --cores $(CORES)
MINI_BACKBONES := mini-rn mini-vit

# Without byte code each of the suite's hundreds of jobs would compile its imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: mini test test-all docs rule-graph environment clean rebuild-mini-backbones

mini: environment
	$(BIN)/snakemake all $(MINI)
	$(BIN)/snakemake all $(MINI) --quiet all --report results/mini/report.html
	@$(BIN)/python -m craft.report.tables.headline --results results/mini

# The tests that each call runs; test-all leaves none out.
test-all: CHOSEN := -m ""
test test-all: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(CHOSEN)

docs: environment
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The picture of the rules in README and docs, drawn again; needs Graphviz.
rule-graph: environment
	$(BIN)/snakemake results/mini/report/overview.html results/mini/ro-crate-metadata.json $(MINI) \
		--rulegraph | dot -Grankdir=LR -Gnodesep=0.2 -Granksep=0.35 -Tsvg -o docs/images/rule_graph.svg

environment: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is " + sys.version if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Pretrains the suite's backbones from nothing and checks that they perform as the shipped ones do.
rebuild-mini-backbones: $(MINI_BACKBONES:%=rebuild-%)

rebuild-%: environment
	$(BIN)/python -m craft.mini.pretrain --config config/backbones/$*.yaml --out results/pretrain/$*.safetensors
	$(BIN)/python -m craft.mini.compare_backbones --config config/backbones/$*.yaml --rebuilt results/pretrain/$*.safetensors

# Removes what the embedded suite made; the paper's results and the environment stay.
clean:
	rm -rf results/mini results/pretrain
