"""Networks loaded for use elsewhere."""

import json
import re
import shutil

import pytest
import torch
from project import ROOT
from published import PUBLISHED
from safetensors.torch import save_file

import gradreg
from gradreg.data import splits
from gradreg.models import checkpoint
from gradreg.models.preprocessing import Whitening
from gradreg.planning.specs import ModelSpec
from gradreg.storage import metrics

CELL = "results/tiny/cells/digits-300/softmax/perturb"
PAGE = "results/quickstart/cells/digits-1297/maxout/perturb/p-2/eps-0.2/seed-0"


@pytest.fixture
def cell(template, tmp_path):
    """The folder of a trained network, among results with their data."""
    (tmp_path / "results").mkdir()
    shutil.copytree(template.folder / "results/data", tmp_path / "results/data")
    folder = next((template.folder / CELL).glob("p-2/eps-*/seed-0"))
    return shutil.copytree(folder, tmp_path / PAGE)


def test_networks_that_pages_name_are_published_and_are_those_of_their_records(monkeypatch):
    monkeypatch.chdir(ROOT)
    pages = [*(ROOT / "docs").glob("*.md"), *PUBLISHED.glob("*/networks/**/*.md")]
    text = "\n".join(page.read_text() for page in pages)
    names = set(re.findall(r'load\("(.+?)"\)', text)) | set(re.findall(r'from results/published: "(.+?)"', text))
    names = {name for name in names if not name.startswith("results/")}
    assert {"mnist/maxout/p-2", "paper-conv/p-2", "mnist/mnist-60000/maxout/perturb/p-2"} < names
    for name in names:
        network = gradreg.load(name)
        assert checkpoint.digest(dict(network.network.named_parameters())) == network.trained_with["weights"], name


@pytest.mark.parametrize(
    "study", [folder.parent for folder in PUBLISHED.glob("*/networks")], ids=lambda path: path.name
)
def test_cards_of_published_networks_have_the_errors_that_are_published(study):
    table = metrics.read(study / "metrics/test.csv")
    for record in (study / "networks").rglob("train.json"):
        cell = json.loads(record.read_text())["cell"]
        rows = table[(table[list(cell)] == list(cell.values())).all(axis=1)]
        (error,) = rows[(rows.attack == "none") & (rows.metric == "error")].value
        lines = record.with_name("README.md").read_text().splitlines()
        assert f"| {100 * error:.2f} " in next(line for line in lines if line.startswith("| none "))


@pytest.mark.parametrize("page", ["docs/howto.md", "docs/library.md"])
def test_pages_load_networks_that_the_default_experiment_makes(page):
    """Those of the eps that was chosen in the published run."""
    named = re.findall(r"results/quickstart/cells/(\S+?)/eps-(\S+?)/seed-0", (ROOT / page).read_text())
    assert named
    for group, eps in named:
        choice = ROOT / "results/published/quickstart/groups" / group / "choice.json"
        assert json.loads(choice.read_text())["eps"] == eps


def test_a_folder_and_a_file_give_the_network_and_what_it_was_trained_with(cell, tmp_path):
    network = gradreg.load(cell)
    test = splits.load(tmp_path / "results/data/digits.npz", "test").first(20)
    expected = checkpoint.load(cell / "model.safetensors")
    assert torch.equal(network(test.pixels()), expected(test.pixels()))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert network.trained_with == json.loads((cell / "train.json").read_text())
    alone = shutil.copy(cell / "model.safetensors", tmp_path / "network.safetensors")
    assert torch.equal(gradreg.load(str(alone))(test.pixels()), expected(test.pixels()))
    assert gradreg.load(alone).trained_with == {}


def test_what_is_no_network_is_refused_in_a_line(cell, tmp_path):
    file = cell / "model.safetensors"
    content = file.read_bytes()
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.ones(3)}, other)
    text = tmp_path / "text.safetensors"
    text.write_text("text")
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for source, kind, message in (
        (tmp_path, FileNotFoundError, "there is no trained network"),
        (tmp_path / "nothing", FileNotFoundError, "there is no trained network"),
        (cell, ValueError, "cannot be loaded: its checksum is not that of what was written"),
        (other, ValueError, "cannot be loaded: not a network of gradreg"),
        (text, ValueError, "cannot be loaded: "),
    ):
        with pytest.raises(kind, match=message) as raised:
            gradreg.load(source)
        assert "\n" not in str(raised.value)


def test_the_whitening_is_found_among_the_results(cell, tmp_path):
    images = splits.load(tmp_path / "results/data/digits.npz", "train").first(50)
    whitening = Whitening.fit(images.pixels())
    spec = ModelSpec("sigmoid_mlp", "whitened", {"units": [8]})
    built = checkpoint.build(spec, (1, 8, 8), 10, torch.Generator().manual_seed(0))
    checkpoint.save(cell / "model.safetensors", built.state_dict(), spec, (1, 8, 8), 10, whitening)
    record = json.loads((cell / "train.json").read_text()) | {"whitening": whitening.digest}
    (cell / ".train.json.sha256").unlink()
    (cell / "train.json").write_text(json.dumps(record))
    with pytest.raises(FileNotFoundError, match=r"give whitening=, the file data/whitening/digits-300.safetensors"):
        gradreg.load(cell)
    file = tmp_path / "results/data/whitening/digits-300.safetensors"
    file.parent.mkdir()
    whitening.save(file)
    expected = checkpoint.load(cell / "model.safetensors", whitening=whitening)
    for network in (gradreg.load(cell), gradreg.load(cell / "model.safetensors", whitening=file)):
        assert torch.equal(network(images.pixels()), expected(images.pixels()))


def test_the_examples_of_the_pages_run(cell, tmp_path, monkeypatch, capsys):
    for package in ("art", "secmlt"):
        pytest.importorskip(package, reason="an extra is not installed")
    pages = [(ROOT / "docs" / name).read_text() for name in ("howto.md", "library.md")]
    blocks = [block for page in pages for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]
    blocks = [block for block in blocks if "import load" in block]
    assert len(blocks) == 3
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, "page", "exec"), {})
    said = capsys.readouterr().out
    assert "'p': '2'" in said
    error, distance = (float(number) for number in re.findall(r": tensor\((.*?)\)", said)[-2:])
    assert 0 < error <= 1
    assert 0 < distance < 8
