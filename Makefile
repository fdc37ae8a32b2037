# make               set up and run the default experiment to results/quickstart/report.html
# make test          set up and run the tests
# make test-faults   run the long tests: killed runs, full disks, whole experiments (docs/reliability.md)
# make test-cluster  run the tests on a Slurm on this machine, installing it if needed (Debian, root)
# make smoke         run the experiments for a GPU on a few images, as a test that they work
# make bench         measure speed: training steps, blocks, other implementations, the workflow, attacks (docs/performance.md)
# make results       run every published experiment (about 18 hours on two cores)
# make publish       copy the tables, figures and metrics of finished experiments to results/published/
# make compare       put several experiments into one table: make compare EXPERIMENTS="mnist norms"
# make crate         write a finished experiment as a Workflow Run RO-Crate: make crate EXPERIMENT=quickstart
# make redraw        draw the published tables and figures again, from the measurements beside them
PYTHON ?= python3
CORES ?= all
# Packages go into the environment, whatever the user's settings of pip say.
PIP = env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT PIP_USER=0 .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SNAKEMAKE = .venv/bin/python -m snakemake --cores $(CORES) --logger gradreg

.PHONY: quickstart test test-faults test-cluster lint smoke bench results publish compare crate redraw clean

quickstart: .venv/ready
	@$(SNAKEMAKE)

test: lint
	.venv/bin/python -m pytest -n auto --dist worksteal

test-faults: .venv/ready-dev
	.venv/bin/python -m pytest -m faults -n 3 --dist worksteal

test-cluster: .venv/ready-dev
	tests/slurm-on-one-host.sh install
	.venv/bin/python -m pytest -m cluster -n 2

lint: .venv/ready-dev
	.venv/bin/python -m ruff check
	.venv/bin/python -m ruff format --check
	.venv/bin/python -m mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/snakefmt --check Snakefile workflow/rules

results: .venv/ready
	$(SNAKEMAKE)
	$(SNAKEMAKE) --configfile config/mnist.yaml
	$(SNAKEMAKE) --configfile config/objectives.yaml
	$(SNAKEMAKE) --configfile config/small-samples.yaml
	$(SNAKEMAKE) --configfile config/norms.yaml
	$(SNAKEMAKE) --configfile config/rivals.yaml
	$(SNAKEMAKE) --configfile config/one-step.yaml
	$(SNAKEMAKE) --configfile config/paper-dense.yaml
	$(SNAKEMAKE) --configfile config/paper-conv.yaml
	$(SNAKEMAKE) --configfile config/paper-cifar10-half.yaml

smoke: .venv/ready
	$(SNAKEMAKE) --configfile config/cifar10.yaml --config scale=smoke
	$(SNAKEMAKE) --configfile config/paper.yaml --config scale=smoke

bench: .venv/ready
	@$(PIP) --editable '.[peers]'
	.venv/bin/python -m bench

publish: .venv/ready
	.venv/bin/python workflow/scripts/publish.py

compare: .venv/ready
	@.venv/bin/python workflow/scripts/compare.py $(EXPERIMENTS)

crate: .venv/ready
	@$(PIP) --editable '.[crate]'
	@.venv/bin/python workflow/scripts/export_crate.py $(EXPERIMENT)

redraw: .venv/ready
	.venv/bin/python workflow/scripts/redraw.py

clean:
	rm -rf .venv

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Error: gradreg needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not there). Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Error: $(PYTHON) cannot create environments: its venv module is missing (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing the pinned dependencies into .venv (PyTorch is large: some minutes, about 6 GB)"
	@$(PIP) --editable .
	@touch $@

.venv/ready-dev: .venv/ready
	@$(PIP) --editable '.[dev,cluster]'
	@touch $@
