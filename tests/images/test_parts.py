"""The pieces that images are made with, by themselves."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools.images import archive, kernel, trials
from tools.images.build import check_tag
from tools.images.command import CommandError, alone, run, succeeds
from tools.images.context import INSIDE, ROOT


def run_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.images", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tag", ["", "1.2.3", "0a1b2c3d4e5f-changed", "_x"])
def test_a_tag(tag: str) -> None:
    check_tag(tag)


@pytest.mark.parametrize(("tag", "why"), [("a b", "no tag: 'a b'"), ("-x", "no tag"), ("latest", "would pull it")])
def test_what_is_no_tag_is_refused_with_what_to_write(tag: str, why: str) -> None:
    done = run_tool("build", f"--tag={tag}")
    assert done.returncode == 2
    assert why in done.stderr


def test_an_unknown_image_is_refused_with_those_there_are() -> None:
    done = run_tool("build", "--images", "onlin")
    assert done.returncode == 2
    assert "no such image: onlin; there are: registry, online, offline, stream-agg, validator, cli" in done.stderr


def test_the_kernels_wheel_is_smaller_whole_and_the_same_from_every_build(tmp_path: Path) -> None:
    libraries = Path(sysconfig.get_paths()["platlib"])
    library = next(libraries.glob("grpc/_cython/cygrpc*.so"))
    copies = []
    for number in (1, 2):
        place = tmp_path / f"checkout{number}"
        bill = {
            "serialNumber": f"urn:uuid:{number}",
            "metadata": {"timestamp": str(number), "component": {"bom-ref": f"path+file://{place}/kernel#one@1"}},
        }
        built = tmp_path / f"built{number}.whl"
        with zipfile.ZipFile(built, "w") as wheel:
            wheel.write(library, "one/native.so")
            wheel.writestr("one/__init__.py", "")
            wheel.writestr("one-1.dist-info/sboms/one.cyclonedx.json", json.dumps(bill))
            wheel.writestr("one-1.dist-info/RECORD", "one/native.so,sha256=x,1\n")
        copies.append(kernel.repack(built, tmp_path / f"copy{number}.whl", place))
    first, second = copies
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as wheel:
        told = json.loads(wheel.read("one-1.dist-info/sboms/one.cyclonedx.json"))
        assert told == {"metadata": {"component": {"bom-ref": "path+file:///kernel#one@1"}}}
        assert wheel.getinfo("one/native.so").external_attr >> 16 & 0o111 == library.stat().st_mode & 0o111
        assert wheel.getinfo("one/native.so").file_size <= library.stat().st_size
        for line in wheel.read("one-1.dist-info/RECORD").decode().splitlines():
            name, digest, size = line.split(",")
            if name.endswith("RECORD"):
                continue
            content = wheel.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={expected}", str(len(content)))


def test_go_modules_are_told_from_a_program() -> None:
    listed = (
        "/x/broker: go1.26.8\n\tpath\tskewless.dev/tools/broker\n\tmod\tskewless.dev/tools/broker\t(devel)\t\n"
        "\tdep\tgithub.com/twmb/franz-go\tv1.22.2\th1:abc=\n\tbuild\tCGO_ENABLED=0\n"
    )
    assert [component["purl"] for component in trials.modules(listed)] == [
        "pkg:golang/github.com/twmb/franz-go@v1.22.2",
        "pkg:golang/stdlib@1.26.8",
    ]


def bill_of(root: Path, to: Path) -> dict[str, object]:
    environ = {"SERVICE": "online", "VERSION": "0.1.0"}
    subprocess.run([sys.executable, "-I", INSIDE / "sbom.py", root, to], env=environ, check=True)
    found: dict[str, object] = json.loads(to.read_text())
    return found


def test_the_bill_of_materials_names_packages_of_every_kind(tmp_path: Path) -> None:
    root = tmp_path / "root"
    notes = root / "var/lib/dpkg/status.d"
    notes.mkdir(parents=True)
    (notes / "libstdc++6").write_text("Package: libstdc++6\nVersion: 12.2.0-14+deb12u1\nArchitecture: amd64\n")
    site = root / "opt/skewless/lib/python3.11/site-packages"
    for name, fields in {
        "a_b": "License-Expression: MIT\n",
        "c": "Classifier: License :: OSI Approved :: BSD License\n",
        "d": "License: Apache-2.0\n",
        "e": "",
    }.items():
        info = site / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1\n{fields}\ntext\n")
    crates = {
        "components": [
            {"name": "serde", "version": "1", "purl": "pkg:cargo/serde@1", "licenses": [{"expression": "MIT"}]},
            {"name": "a_b", "version": "1", "purl": "pkg:pypi/a_b@1"},
            {"name": "own"},
        ]
    }
    (site / "a_b-1.dist-info/sboms").mkdir()
    (site / "a_b-1.dist-info/sboms/a.cyclonedx.json").write_text(json.dumps(crates))

    bill = bill_of(root, tmp_path / "a/b/c/first.json")
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"] == {
        "component": {
            "type": "container",
            "bom-ref": "skewless/online",
            "name": "skewless/online",
            "version": "0.1.0",
        }
    }
    components = bill["components"]
    assert isinstance(components, list)
    assert {component["purl"]: component.get("licenses") for component in components} == {
        "pkg:cargo/serde@1": [{"expression": "MIT"}],
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64": None,
        "pkg:pypi/a-b@1": [{"expression": "MIT"}],
        "pkg:pypi/c@1": [{"license": {"name": "BSD License"}}],
        "pkg:pypi/d@1": [{"license": {"name": "Apache-2.0"}}],
        "pkg:pypi/e@1": None,
    }
    assert bill_of(root, tmp_path / "d/e/f/second.json") == bill


def layer(*entries: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_an_images_tar_is_read_and_unpacked(tmp_path: Path) -> None:
    layers = [layer(("a/one", b"old"), ("a/two", b"2")), layer(("a/one", b"new"), ("a/.wh.two", b""))]
    digests = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in layers]
    config = {"config": {"User": "65532:65532"}, "rootfs": {"diff_ids": digests}}
    manifest = [{"Config": "c.json", "RepoTags": ["docker.io/skewless/x:1"], "Layers": ["0.tar", "1.tar"]}]
    tar = tmp_path / "image.tar"
    tar.write_bytes(
        layer(
            ("manifest.json", json.dumps(manifest).encode()),
            ("c.json", json.dumps(config).encode()),
            ("0.tar", layers[0]),
            ("1.tar", layers[1]),
        )
    )
    known = {digests[0]: 17}
    image = archive.read(tar, known)
    assert (image.reference, image.config) == ("docker.io/skewless/x:1", {"User": "65532:65532"})
    assert [(one.digest, one.size) for one in image.layers] == [(digests[0], 10240), (digests[1], 10240)]
    assert image.layers[0].compressed == 17
    assert 0 < image.layers[1].compressed == known[digests[1]] < 10240
    archive.unpack(tar, tmp_path / "root")
    assert [path.name for path in (tmp_path / "root/a").iterdir()] == ["one"]
    assert archive.last(tar, "a/one") == b"new"
    with pytest.raises(KeyError, match="a/three"):
        archive.last(tar, "a/three")


def test_a_second_build_waits_for_the_first(tmp_path: Path) -> None:
    script = (
        f"from pathlib import Path; from tools.images.command import alone\nwith alone(Path({str(tmp_path)!r})): pass"
    )
    with alone(tmp_path):
        second = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert second.stderr.readline() == f"images: another build uses {tmp_path}; waiting for it\n"
        assert second.poll() is None
    assert second.wait(30) == 0
    second.stderr.close()


def test_a_program_that_fails_is_told_with_what_it_wrote() -> None:
    with pytest.raises(CommandError, match=r"(?s)-c .*out.*err.*exit code 3"):
        run(sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    with pytest.raises(CommandError, match=r"no-such-program cannot be started"):
        run("no-such-program")
    assert not succeeds("no-such-program")
    assert succeeds(sys.executable, "-c", "")
    assert run(sys.executable, "-c", "print(input())", text="hello\n") == "hello\n"
