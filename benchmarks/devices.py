"""ONNX and ExecuTorch exports on emulated processors, compared with what was evaluated.

    python benchmarks/devices.py --run RUN --exports fp32=DIR int8=DIR

Each export predicts the first --texts validation texts of the run by the example for its target (examples/), on each
processor of the table, in QEMU's user mode. The table shows the largest difference from the evaluated logits and the
labels that differ. Emulation says nothing about speed.

The first run prepares --folder: an ARM64 root (Debian's python3.11, fetched by apt-get as an ordinary user) and ARM64
wheels (by pip). QEMU 10 or newer is needed; with 7.2, onnxruntime fails on ARM64 while it is imported. It takes a few
minutes, on Debian and x86 alone, and is no part of the tests. ExecuTorch's Python runtime needs torch, whose newer
ARM64 wheels need CUDA's libraries: on ARM64, the last ExecuTorch whose torch has none runs the program.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from feathertune.folders.export import ExportDescription, ExportFolder
from feathertune.folders.run import RunFolder
from feathertune.prediction.files import read_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.system.files import write_json
from feathertune.system.machine import describe_environment
from measuring import in_columns, progress

ROOT = Path(__file__).parents[1]
_EXAMPLES = {target: ROOT / "examples" / f"{target}_predict.py" for target in ("onnx", "executorch")}
_WHEELS = tuple(f"{package}=={version(package)}" for package in ("numpy", "onnxruntime", "tokenizers"))
_EXECUTORCH = (  # with what its Python runtime imports, and no more
    *("executorch==1.1.0", "torch==2.10.0", "filelock", "flatbuffers", "mpmath==1.3.0", "networkx", "packaging"),
    *("pyyaml", "ruamel.yaml", "sympy", "tabulate", "typing_extensions"),
)
_ROUNDING = 5e-7  # of a probability that an example prints
_TIMEOUT = 1800  # seconds for one export on one processor


@dataclass(frozen=True)
class Device:
    """An emulated processor.

    Attributes:
        title: in the table.
        machine: x86_64 or aarch64.
        cpu: QEMU's name of it.
        environment: variables that the libraries need there.
        torch: whether torch's wheels run there; without it, ExecuTorch's Python runtime does not.
    """

    title: str
    machine: str
    cpu: str
    environment: dict[str, str] = field(default_factory=dict)
    torch: bool = True


DEVICES = (
    Device("x86, SSE4.2", "x86_64", "Nehalem", {"OPENBLAS_CORETYPE": "Nehalem"}),  # OpenBLAS would take AVX for granted
    Device("x86, AVX", "x86_64", "SandyBridge"),
    Device("x86, AVX2 without VNNI", "x86_64", "Haswell"),
    Device("ARM64", "aarch64", "cortex-a57", torch=False),
    Device("ARM64, dot product", "aarch64", "neoverse-n1"),
    Device("ARM64, dot product, int8 matrices", "aarch64", "max,sve=off,sme=off"),
    Device("ARM64, SVE and SME", "aarch64", "max"),
)


def main(arguments: list[str] | None = None) -> None:
    """Prepare what is missing, predict everywhere, print the table, and write the JSON if --output is given."""
    options = _parse(arguments)
    evaluated = read_predictions(RunFolder(options.run).predictions("after", "validation"), "validation")
    texts = list(evaluated.texts)[: options.texts]
    targets = {
        name: ExportDescription.read(ExportFolder(path).description).target for name, path in options.exports.items()
    }
    prepare(options.folder, _WHEELS + _EXECUTORCH if "executorch" in targets.values() else _WHEELS)
    rows = []
    for device in (None, *DEVICES):
        for name, path in options.exports.items():
            if targets[name] == "executorch" and device is not None and not device.torch:
                continue
            predicted = _predict(device, _EXAMPLES[targets[name]], path, texts, options)
            title = device.title if device else "this machine"
            rows.append({"device": title, "export": name} | compare(evaluated, predicted))
            progress("  ".join(map(str, rows[-1].values())))
    heads = ("processor", "export", "texts", "largest logit difference", "labels that differ")
    print(in_columns([heads, *(tuple(_cell(value) for value in row.values()) for row in rows)]))
    if options.output:
        command = " ".join(["benchmarks/devices.py", *(arguments or sys.argv[1:])])
        write_json(options.output, {"environment": describe_environment(command), "rows": rows})


def compare(evaluated: Predictions, predicted: list[tuple[str, float]]) -> dict[str, Any]:
    """One row of the table: the logits differ at least so much, since a probability is printed to six decimals.

    Args:
        evaluated: of the run's validation split.
        predicted: for its first texts, the label and the probability of this label.
    """
    names = list(evaluated.label_names)
    classes_N = np.array([names.index(label) for label, _ in predicted])
    given_N = np.array([probability for _, probability in predicted])
    known_N = _logit(evaluated.probabilities_NC[np.arange(len(classes_N)), classes_N])
    least_N, most_N = _logit(given_N - _ROUNDING), _logit(given_N + _ROUNDING)
    return {
        "texts": len(classes_N),
        "logit_difference": float(np.maximum(least_N - known_N, known_N - most_N).clip(0).max()),
        "labels_differ": int((classes_N != evaluated.predicted[: len(classes_N)]).sum()),
    }


def _logit(probability_N: np.ndarray) -> np.ndarray:
    probability_N = probability_N.clip(1e-12, 1 - 1e-12)
    return np.log(probability_N) - np.log1p(-probability_N)


def _cell(value: Any) -> str:
    return f"{value:.1e}" if isinstance(value, float) else str(value)


def _predict(
    device: Device | None, example: Path, export: Path, texts: list[str], options: argparse.Namespace
) -> list[tuple[str, float]]:
    """The label and its probability for each text, by the example of its target on one device."""
    command, environment = [sys.executable], dict(os.environ)
    if device is not None:
        environment |= device.environment
        emulator = [str(options.qemu / f"qemu-{device.machine}"), "-cpu", device.cpu]
        python = str(Path(sys.executable).resolve())
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
        if device.machine == "aarch64":
            root = options.folder / "root"
            emulator, python = [*emulator, "-L", str(root)], str(root / "usr" / "bin" / "python3.11")
            environment["PYTHONPATH"] = str(options.folder / "site")
        command = [*emulator, python]
    command += ["-W", "ignore", str(example), str(export), *texts]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT, env=environment)
    if done.returncode:
        sys.exit(f"{device.title if device else 'this machine'}, {export}: {done.stderr[-2000:]}")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return [(label, float(probability)) for label, probability, _ in lines]


def prepare(folder: Path, wheels: Sequence[str]) -> None:
    """The ARM64 root and these wheels, unless they are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "root").is_dir():
        _fetch_root(folder)
    (folder / "site").mkdir(exist_ok=True)
    platforms = [f"manylinux{glibc}_aarch64" for glibc in ("_2_28", "_2_27", "_2_17", "2014")]
    for wheel in wheels:
        mark = folder / "site" / f".{wheel}"
        if mark.exists():
            continue
        progress(f"fetching {wheel} for ARM64")
        downloads = folder / "downloads"
        shutil.rmtree(downloads, ignore_errors=True)
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
            *(part for platform in platforms for part in ("--platform", platform)),
            *("--python-version", "3.11", "--dest", str(downloads), wheel),
        )
        for file in downloads.glob("*.whl"):
            with zipfile.ZipFile(file) as archive:
                archive.extractall(folder / "site")
        mark.touch()


def _fetch_root(folder: Path) -> None:
    """Debian's ARM64 packages of Python, by this machine's sources of packages, unpacked but not installed."""
    progress("fetching an ARM64 root")
    apt = (folder / "apt").resolve()
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Dir::State": apt,
        "Dir::State::Lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    _run("apt-get", *options, "update")
    packages = ("python3.11", "libstdc++6", "libgomp1")
    _run("apt-get", *options, "install", "--yes", "--download-only", "--no-install-recommends", *packages)
    making = folder / "root.making"
    shutil.rmtree(making, ignore_errors=True)
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        _run("dpkg", "--extract", str(package), str(making))
    making.replace(folder / "root")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="the run that was exported")
    parser.add_argument("--exports", nargs="+", required=True, metavar="NAME=DIR")
    parser.add_argument("--texts", type=int, default=60, help="of the validation split")
    parser.add_argument("--folder", type=Path, default=ROOT / ".devices", help="of the ARM64 root and wheels")
    parser.add_argument(
        "--qemu", type=Path, default=Path("/usr/bin"), help="the folder of qemu-aarch64 and qemu-x86_64"
    )
    parser.add_argument("--output", type=Path, help="a JSON file")
    options = parser.parse_args(arguments)
    pairs = [entry.partition("=") for entry in options.exports]
    if not all(name and path for name, _, path in pairs):
        parser.error("--exports takes NAME=DIR, such as int8=exported")
    options.exports = {name: Path(path) for name, _, path in pairs}
    for name in ("qemu-aarch64", "qemu-x86_64"):
        if shutil.which(str(options.qemu / name)) is None:
            parser.error(f"{options.qemu / name} is missing: install qemu-user of Debian 13, or give --qemu")
    return options


if __name__ == "__main__":
    main()
