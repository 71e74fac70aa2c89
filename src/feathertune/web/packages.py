"""The packages that a page needs to compute in the browser: pinned by npm's lock file, and file by file by sha256.

They are fetched once, by an explicit command, into the user's folder for caches. An export copies these files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from feathertune.errors import UserError
from feathertune.system.files import sha256
from feathertune.system.temporary import held, temporary_folder

COMMAND = "feathertune web-packages"
_LOCK = Path(__file__).parent / "npm"


@dataclass(frozen=True)
class PackageFile:
    """A file of a package: its place in node_modules, and its content's sha256."""

    place: str
    sha256: str


# Name in the page's folder vendor/ -> what it is. The wasm keeps its name, by which the script next to it finds it.
FILES = {
    "onnxruntime-web.js": PackageFile(
        "onnxruntime-web/dist/ort.wasm.bundle.min.mjs",
        "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    ),
    "ort-wasm-simd-threaded.wasm": PackageFile(
        "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
    "ort-wasm-simd-threaded.mjs": PackageFile(  # only Node.js reads it
        "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    ),
    "tokenizers.js": PackageFile(
        "@huggingface/tokenizers/dist/tokenizers.min.mjs",
        "258e46332101335ce8d95aed7745b19ac3b46d37f3e159a89cf894c2ea9b1d3a",
    ),
    "tokenizers-LICENSE.txt": PackageFile(
        "@huggingface/tokenizers/LICENSE",
        "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
    ),
}


def packages_folder() -> Path:
    """Where the files are kept: `web` in FEATHERTUNE_CACHE, or in `feathertune` of the user's folder for caches."""
    if own := os.environ.get("FEATHERTUNE_CACHE"):
        return Path(own).expanduser() / "web"
    if sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "feathertune" / "web"


def require_packages() -> Path:
    """The folder of the files, each with the pinned content. Raises UserError if one is missing or differs."""
    folder = packages_folder()
    for name, file in FILES.items():
        path = folder / name
        if not path.is_file():
            raise UserError(
                "the packages that compute in a browser are missing", where=str(path), fix=f"Run: {COMMAND}"
            )
        if sha256(path) != file.sha256:
            raise UserError("this is not the pinned version of the file", where=str(path), fix=f"Run: {COMMAND}")
    return folder


def fetch_packages(source: Path | None = None, say: Callable[[str], object] | None = None) -> Path:
    """Put the files into their folder, in place of what is there.

    Args:
        source: a node_modules that has the packages, for machines without a registry; by default npm fetches them.
        say: receives what is done.

    Returns:
        The folder.

    Raises:
        UserError: npm is missing or fails; a file has another content than the pinned version.
    """
    folder = packages_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = temporary_folder(folder)
    try:
        with held(building):
            modules = _installed(building / "npm", say) if source is None else source
            new = building / "web"
            new.mkdir()
            for name, file in FILES.items():
                path = modules / file.place
                if not path.is_file():
                    raise UserError("the package has no such file", where=str(path), fix="Give a node_modules folder.")
                if sha256(path) != file.sha256:
                    raise UserError(
                        "this is not the pinned version of the file",
                        where=str(path),
                        fix=f"Install the versions of {_LOCK / 'package-lock.json'}: npm ci --ignore-scripts",
                    )
                shutil.copyfile(path, new / name)
            shutil.rmtree(folder, ignore_errors=True)
            new.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _installed(place: Path, say: Callable[[str], object] | None) -> Path:
    """Install the packages of the lock file in a new folder, without their install scripts; its node_modules."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "npm is not installed, which fetches the packages",
            fix="Install Node.js, or give --from NODE_MODULES, a folder made by `npm ci --ignore-scripts` with the "
            f"package.json and package-lock.json of {_LOCK}",
        )
    shutil.copytree(_LOCK, place)
    if say is not None:
        say("npm fetches onnxruntime-web and @huggingface/tokenizers: 150 MB, of which 14 MB are kept")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    if done.returncode:
        reason = " ".join(done.stderr.split())[:300]
        raise UserError(f"npm failed: {reason}", fix="Is its registry reachable? Or give --from NODE_MODULES.")
    return place / "node_modules"
