"""`feathertune serve`: a model behind HTTP."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from feathertune.cli.options import BaseOption, SetOption, print_note
from feathertune.cli.predict import ComputePrecision, OnnxRuntimeChoice, RunOrExportArgument
from feathertune.errors import UserError

_PACKAGES = ("fastapi", "httptools", "uvicorn", "prometheus_client")


def serve(
    run: RunOrExportArgument,
    host: Annotated[str, typer.Option(help="0.0.0.0 for all interfaces; then give a key, too.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="Clients must send the key in this file: Authorization: Bearer KEY.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name in answers; default: its folder's.")] = None,
    max_concurrent_requests: Annotated[int, typer.Option(min=1, help="More are refused with 429.")] = 512,
    max_texts: Annotated[int, typer.Option(min=1, help="Texts of one request.")] = 1024,
    max_request_tokens: Annotated[int, typer.Option(min=1, help="Tokens of one request.")] = 131_072,
    max_batch_tokens: Annotated[int, typer.Option(min=1, help="Tokens that are predicted together.")] = 512,
    max_queue_tokens: Annotated[int, typer.Option(min=1, help="Waiting tokens; more are refused with 429.")] = 262_144,
    max_queue_ms: Annotated[
        float,
        typer.Option(min=0, help="In an overload, requests that would wait longer are refused with 429."),
    ] = 40.0,
    max_body_bytes: Annotated[int, typer.Option(min=1, help="Bytes of a request's body.")] = 2_000_000,
    max_wait_ms: Annotated[float, typer.Option(min=0, help="How long a batch waits for others, under load.")] = 1.0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Batches computed at the same time; default: one per core, at most 8.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for a client to send its request.")] = 10.0,
    drain: Annotated[float, typer.Option(min=1, help="Seconds for requests in progress, after SIGTERM.")] = 30.0,
    base: BaseOption = None,
    precision: Annotated[
        ComputePrecision, typer.Option(help="bf16 is faster on some processors; labels of near-ties may change.")
    ] = ComputePrecision.FP32,
    runtime: Annotated[
        OnnxRuntimeChoice | None, typer.Option(help="What runs an ONNX export; by default onnxruntime.")
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(help="Another run or export, or `before` (training), to compare on the page; twice at most."),
    ] = None,
    settings: SetOption = None,
) -> None:
    """Serve a run or an export over HTTP."""
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise UserError(f"serving needs {', '.join(missing)}", fix="pip install 'feathertune[serve]'")
    from feathertune.server.settings import Settings, read_api_key
    from feathertune.server.sources import find_sources, share_cores

    api_key = None if api_key_file is None else read_api_key(api_key_file)
    sources = find_sources(run, beside or (), settings or ())  # before torch is imported, which takes seconds
    from feathertune.server.running import listening, run_app

    listener = listening(host, port)
    chosen: Literal["onnxruntime", "openvino"] | None = None if runtime is None else runtime.value
    workers, threads = share_cores(sources, chosen, workers)
    limits = Settings(
        max_concurrent_requests=max_concurrent_requests,
        max_texts=max_texts,
        max_request_tokens=max_request_tokens,
        max_batch_tokens=max_batch_tokens,
        max_queue_tokens=max_queue_tokens,
        max_queue_seconds=max_queue_ms / 1000,
        max_body_bytes=max_body_bytes,
        max_wait=max_wait_ms / 1000,
        workers=workers,
        timeout=timeout,
        drain=drain,
        api_key=api_key,
        name=name,
    )
    from feathertune.server.app import build_app
    from feathertune.server.models import load_models

    models = load_models(sources, limits, threads, base=base, precision=precision.value, runtime=chosen)
    (predictor, info), *others = models
    app = build_app(predictor, info, limits, others)
    print_note(f"{info.model_id} at http://{host}:{listener.getsockname()[1]} (for programs: /docs); Ctrl-C ends it")
    run_app(app, limits, listener)
