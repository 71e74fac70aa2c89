"""Servers under load, each in one process on this machine: throughput, latency and memory.

    python benchmarks/serving.py --run RUN --onnx EXPORT --merged MERGED_EXPORT
    python benchmarks/serving.py --run RUN --soak 600

wrk sends one query in each request, over connections that it keeps open; the queries are those of the built-in sample,
or of --data FOLDER.
The number of connections is doubled until 1% of the requests take more than --limit milliseconds. The best throughput
within that limit counts. With `--overload SECONDS`, that load and then one of ten times the connections follow for so
long, which must bring only 200 and 429. wrk's latencies mix both, so meanwhile four slow clients measure how long those
wait that are accepted. `--soak SECONDS` repeats the best load in slices, and shows how memory grows.

wrk (Debian's package `wrk`) and the servers share the processor, as a proxy would. `--infinity PROGRAM` is the command
of infinity-emb[server,torch], which serves MERGED_EXPORT, too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from feathertune.folders.export import ExportDescription, ExportFolder
from feathertune.system.files import write_json
from feathertune.system.machine import describe_environment
from measuring import in_columns, progress
from shapes import read_texts

ROOT = Path(__file__).parents[1]
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}
_START, _TIMEOUT = 120, "10s"
_CLIENTS = 4
_JSON = {"Content-Type": "application/json"}
_LUA = """
wrk.method, wrk.headers["Content-Type"] = "POST", "application/json"
local bodies, at = {%s}, 0
request = function()
  at = at %% #bodies + 1
  return wrk.format(nil, "%s", nil, bodies[at])
end
local statuses = {}
function setup(thread) table.insert(statuses, thread) end
function init() ok, busy, other = 0, 0, 0 end
function response(status)
  if status == 200 then ok = ok + 1 elseif status == 429 then busy = busy + 1 else other = other + 1 end
end
function done()
  for _, thread in ipairs(statuses) do
    print("statuses " .. thread:get("ok") .. " " .. thread:get("busy") .. " " .. thread:get("other"))
  end
end
"""


@dataclass(frozen=True)
class Contender:
    """A server: its command (`{port}` stands for the port), and the path and form of its requests."""

    title: str
    command: tuple[str, ...]
    path: str
    field: str
    many: bool = False  # the field holds a list

    def body(self, text: str) -> str:
        """The request for one text."""
        return json.dumps({self.field: [text] if self.many else text})


@dataclass(frozen=True)
class Load:
    """What wrk measured: requests a second, milliseconds, and answers by status."""

    connections: int
    per_second: float
    p50: float
    p99: float
    ok: int
    busy: int
    other: int


def read_wrk(output: str, connections: int) -> Load:
    """The figures in wrk's output, with the line of statuses that the script adds."""
    latency = {share: _milliseconds(output, share) for share in ("50%", "99%")}
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    statuses = re.search(r"statuses (\d+) (\d+) (\d+)", output)
    if rate is None or statuses is None:
        sys.exit(f"wrk printed:\n{output}")
    timeouts = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    failed = sum(map(int, timeouts.groups())) if timeouts else 0
    ok, busy, other = map(int, statuses.groups())
    return Load(connections, float(rate[1]), latency["50%"], latency["99%"], ok, busy, other + failed)


def _milliseconds(output: str, share: str) -> float:
    found = re.search(rf"^\s+{share}\s+([\d.]+)(us|ms|s|m)\s*$", output, re.MULTILINE)
    if found is None:
        sys.exit(f"wrk printed:\n{output}")
    return float(found[1]) * _UNITS[found[2]]


@contextmanager
def served(contender: Contender) -> Iterator[tuple[str, psutil.Process]]:
    """The address of the running server, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [part.replace("{port}", str(port)) for part in contender.command]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, process)
            yield address, psutil.Process(process.pid)
        finally:
            process.terminate()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(_START * 10):
        if process.poll() is not None:
            sys.exit(f"the server ended with {process.returncode}: {process.args}")
        try:
            if httpx2.get(f"{address}/health").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    sys.exit(f"the server did not answer within {_START} seconds: {process.args}")


def load(address: str, contender: Contender, texts: Sequence[str], connections: int, seconds: int) -> Load:
    """One run of wrk."""
    bodies = ",\n".join(f"[==[{contender.body(text)}]==]" for text in texts)
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as script:
        script.write(_LUA % (bodies, contender.path))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", _TIMEOUT]
        done = subprocess.run(
            [*command, "-s", script.name, address], capture_output=True, text=True, check=False, timeout=seconds + 60
        )
    if done.returncode:
        sys.exit(f"wrk failed:\n{done.stdout}{done.stderr}")
    return read_wrk(done.stdout, connections)


@contextmanager
def accepted(address: str, contender: Contender, texts: Sequence[str], seconds: int) -> Iterator[list[float]]:
    """The milliseconds that accepted requests of four clients take meanwhile; each pauses between its requests."""
    waits: list[float] = []
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        with httpx2.Client(timeout=60) as session:
            for text in itertools.cycle(texts[number::_CLIENTS]):
                if time.monotonic() > end:
                    return
                began = time.perf_counter()
                headers = {"Content-Type": "application/json"}
                status = session.post(
                    address + contender.path, content=contender.body(text), headers=headers
                ).status_code
                if status == 200:
                    waits.append(1000 * (time.perf_counter() - began))
                time.sleep(0.01)

    threads = [threading.Thread(target=client, args=[number]) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    yield waits
    for thread in threads:
        thread.join()


def _quantiles(waits: Sequence[float]) -> dict[str, float]:
    if len(waits) < 100:
        return {}
    hundredths = statistics.quantiles(waits, n=100)
    return {"accepted_p50": hundredths[49], "accepted_p99": hundredths[98]}


def memory_mib(process: psutil.Process) -> float:
    """The resident memory of a process and its children."""
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 2**20


def sweep(address: str, contender: Contender, texts: Sequence[str], options: argparse.Namespace) -> list[Load]:
    """Loads with 1, 2, 4 ... connections, up to the first beyond the limit."""
    loads: list[Load] = []
    load(address, contender, texts, 4, 2)  # to warm up
    while not loads or (loads[-1].p99 <= options.limit and loads[-1].connections < 512):
        loads.append(load(address, contender, texts, 2 ** len(loads), options.seconds))
        progress(f"{contender.title}: {asdict(loads[-1])}")
    return loads


def measure(contender: Contender, texts: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one server."""
    with served(contender) as (address, process):
        loads = sweep(address, contender, texts, options)
        within = [one for one in loads if one.p99 <= options.limit]
        best = max(within, key=lambda one: one.per_second) if within else None
        result: dict[str, Any] = {"title": contender.title, "loads": [asdict(one) for one in loads]}
        result["best"] = asdict(best) if best else None
        if best is not None:
            result["half"] = asdict(load(address, contender, texts, max(1, best.connections // 2), options.seconds))
        result["memory_mib"] = memory_mib(process)
        if options.overload and best is not None:
            for name, times in (("full", 1), ("overload", 10)):
                with accepted(address, contender, texts, options.overload) as waits:
                    over = load(address, contender, texts, times * best.connections, options.overload)
                result[name] = asdict(over) | {"memory_mib": memory_mib(process), **_quantiles(waits)}
                progress(f"{contender.title}, {name}: {result[name]}")
        if options.soak and best is not None:
            result["soak_mib"] = _soak(address, contender, texts, best.connections, options.soak, process)
    return result


def _soak(
    address: str, contender: Contender, texts: Sequence[str], connections: int, seconds: int, process: psutil.Process
) -> list[float]:
    """Memory after each minute, or part of one."""
    memory = []
    for begin in range(0, seconds, 60):
        load(address, contender, texts, connections, min(60, seconds - begin))
        memory.append(memory_mib(process))
        progress(f"{contender.title}, after {begin + 60} s: {memory[-1]:.1f} MiB")
    return memory


def contenders(options: argparse.Namespace) -> list[Contender]:
    """The servers of the folders that were given."""
    ours = (sys.executable, "-m", "feathertune.cli", "serve")
    found = []
    if options.run:
        found.append(Contender("Feathertune, fp32", (*ours, options.run, "--port", "{port}"), "/predict", "inputs"))
    for export in options.onnx:
        precision = ExportDescription.read(ExportFolder(Path(export)).description).precision
        title = f"Feathertune, ONNX {precision}"
        found.append(Contender(title, (*ours, export, "--port", "{port}"), "/predict", "inputs"))
    if options.merged:
        plain = (sys.executable, str(ROOT / "benchmarks" / "plain_server.py"), options.merged, "{port}")
        found.append(Contender("FastAPI and transformers' pipeline", plain, "/predict", "text"))
    if options.infinity:
        command = (options.infinity, "v2", "--model-id", options.merged, "--engine", "torch", "--device", "cpu")
        command += ("--no-bettertransformer", "--log-level", "error", "--port", "{port}", "--host", "127.0.0.1")
        found.append(Contender("infinity-emb", command, "/classify", "input", many=True))
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure all servers, one after the other, and print the table."""
    options = _parse(arguments)
    texts = read_texts(options.data, "validation")
    results = [measure(one, texts, options) for one in contenders(options)]
    heads = ("server", "requests/s", "connections", "p50 ms", "p99 ms", "p50 at half", "p99 at half", "MiB")
    print(in_columns([heads, *map(_row, results)]))
    if options.output:
        command = " ".join(["benchmarks/serving.py", *(arguments or sys.argv[1:])])
        write_json(options.output, {"environment": describe_environment(command), "results": results})


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    best, half = result["best"], result.get("half")
    if best is None or half is None:
        return (result["title"], *["-"] * 6, f"{result['memory_mib']:.0f}")
    figures = (f"{best['per_second']:.0f}", str(best["connections"]), f"{best['p50']:.1f}", f"{best['p99']:.1f}")
    return (result["title"], *figures, f"{half['p50']:.1f}", f"{half['p99']:.1f}", f"{result['memory_mib']:.0f}")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", help="a run folder")
    parser.add_argument("--onnx", nargs="+", default=[], help="ONNX exports")
    parser.add_argument("--merged", help="an export --to merged, for the other servers")
    parser.add_argument("--infinity", metavar="PROGRAM", help="the command infinity_emb")
    parser.add_argument("--data", default="sample", help="a folder with the columns content and rating (or Google's)")
    parser.add_argument("--seconds", type=int, default=10, help="of each load")
    parser.add_argument("--limit", type=float, default=100, help="milliseconds that 99%% of the requests may take")
    parser.add_argument("--overload", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--soak", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--output", type=Path, help="a JSON file")
    options = parser.parse_args(arguments)
    if not (options.run or options.onnx or options.merged):
        parser.error("give --run, --onnx or --merged")
    if options.infinity and not options.merged:
        parser.error("--infinity needs --merged")
    if shutil.which("wrk") is None:
        parser.error("wrk is missing (Debian: apt-get install wrk)")
    return options


if __name__ == "__main__":
    main()
