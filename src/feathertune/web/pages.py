"""The page's files: those that a server gives, and the page that stands alone, written into a folder."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path

from feathertune.system.files import write_json, write_text
from feathertune.web.packages import FILES

MAX_BESIDE = 2  # models that the page compares with its own
PAGE = Path(__file__).parent / "page"  # what a server gives
GATE = Path(__file__).parent / "gate"  # what the parity gate adds
_LOCAL = Path(__file__).parent / "local"  # what takes the server's place in a page that stands alone
_SERVERS = ("server.js",)
# A static host sends no headers of ours. Wasm is compiled, and the threads of onnxruntime-web are workers.
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)
_META = '<meta charset="utf-8">'
# Files of the folder that the page does not fetch: for Node.js, transformers.js and readers.
_NOT_FETCHED = {"config.json", "page/package.json", "page/predict.js", "page/vendor/ort-wasm-simd-threaded.mjs"}


def write_page(folder: Path, models: Mapping[str, str], packages: Path) -> None:
    """Write the page that stands alone, whose models compute in the browser.

    Args:
        folder: of the export, where the page's files are added.
        models: name of each model -> its folder, relative to `folder`; the first is the page's own.
        packages: the folder of `require_packages`.
    """
    page = folder / "page"
    shutil.copytree(PAGE, page, ignore=shutil.ignore_patterns("index.html", *_SERVERS))
    shutil.copytree(_LOCAL, page, dirs_exist_ok=True)
    (page / "vendor").mkdir()
    for name in FILES:
        shutil.copyfile(packages / name, page / "vendor" / name)
    write_json(page / "models.json", [{"name": name, "folder": place} for name, place in models.items()])
    policy = f'{_META}\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    write_text(folder / "index.html", (PAGE / "index.html").read_text(encoding="utf-8").replace(_META, policy))


def fetched_bytes(folder: Path) -> tuple[int, int]:
    """How many bytes the page fetches for its own model, as they are and as sent with gzip."""
    plain = sent = 0
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in _NOT_FETCHED and not name.startswith("beside/") and path.suffix != ".txt":
            content = path.read_bytes()
            plain += len(content)
            sent += min(len(content), len(gzip.compress(content, 6)))
    return plain, sent
