"""A run or an export behind Ray Serve: each replica serves the app of `feathertune serve`, on any machine of a cluster.

    pip install 'feathertune[onnx,serve]' 'ray[serve]'
    python ray_serve.py EXPORT --replicas 2                      # a Ray of its own on this machine
    serve run ray_serve:app path=EXPORT replicas=8 cpus=2        # on the cluster of RAY_ADDRESS; needs absolute paths

The model is opened in the replica, never sent to it, so EXPORT and the key's file must be at the same place on all
machines. Without torch, an ONNX export needs less memory, and a replica starts sooner. Copy what you need.
"""

# No `from __future__ import annotations`: Ray would not see that app() takes Arguments, and give it a dict.
import argparse
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray import serve

from feathertune.errors import UserError
from feathertune.server.settings import Settings, read_api_key
from feathertune.server.sources import find_sources

# Beyond max_concurrent_requests a replica must still receive requests, to answer 429, /health and /metrics.
SPARE_REQUESTS = 128


class Arguments(BaseModel):
    """What `serve run ray_serve:app NAME=VALUE` takes."""

    model_config = ConfigDict(extra="forbid")

    path: Path
    replicas: int = Field(default=1, ge=1)
    cpus: int = Field(default=1, ge=1, description="Of each replica, which computes as many batches at a time.")
    api_key_file: Path | None = None
    name: str | None = None
    max_concurrent_requests: int = Field(default=512, ge=1, description="Of each replica.")
    max_texts: int = Field(default=1024, ge=1)
    max_body_bytes: int = Field(default=2_000_000, ge=1)

    def settings(self) -> Settings:
        """The limits of each replica. Raises UserError if there is no key in the file."""
        if self.api_key_file is not None and not self.api_key_file.is_file():
            raise UserError("there is no such file", where=f"api_key_file {self.api_key_file}")
        return Settings(
            max_concurrent_requests=self.max_concurrent_requests,
            max_texts=self.max_texts,
            max_body_bytes=self.max_body_bytes,
            api_key=None if self.api_key_file is None else read_api_key(self.api_key_file),
            name=self.name,
            workers=self.cpus,
        )


class NamedReplica:
    """ASGI middleware: the header `x-replica` says which replica has answered, so whose `/metrics` one sees."""

    def __init__(self, app: Any, replica: str) -> None:
        self._app, self._header = app, (b"x-replica", replica.encode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or pass on what is none."""

        async def named(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], self._header]}
            await send(message)

        await self._app(scope, receive, named)


@serve.deployment
@serve.ingress(None)
class Served:
    """One replica. Its app holds a model, which cannot be pickled, so Ray has it built in the replica."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments

    def __serve_build_asgi_app__(self) -> Any:
        from feathertune.server.app import build_app
        from feathertune.server.models import load_models

        settings = self._arguments.settings()
        ((predictor, info),) = load_models(find_sources(self._arguments.path, (), ()), settings, threads=1)
        app = build_app(predictor, info, settings)
        app.add_middleware(NamedReplica, replica=serve.get_replica_context().replica_id.unique_id)
        return app


def app(arguments: Arguments) -> serve.Application:
    """The application that `serve run` starts. Raises UserError for what no replica could serve."""
    path = arguments.path.resolve()
    settings = arguments.settings()
    find_sources(path, (), ())
    key = None if arguments.api_key_file is None else arguments.api_key_file.resolve()
    threads = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": str(arguments.cpus)}  # torch's, the tokenizer's
    return Served.options(
        name="feathertune",
        num_replicas=arguments.replicas,
        max_ongoing_requests=arguments.max_concurrent_requests + SPARE_REQUESTS,
        graceful_shutdown_timeout_s=settings.drain,
        ray_actor_options={
            "num_cpus": arguments.cpus,
            "runtime_env": {"env_vars": threads},
        },
    ).bind(arguments.model_copy(update={"path": path, "api_key_file": key}))


def main() -> None:
    """Serve on a Ray of this machine, or of RAY_ADDRESS, until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, metavar="EXPORT")
    for name, field in Arguments.model_fields.items():
        if name != "path":
            kind = int if isinstance(field.default, int) else str
            parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=field.default, help=field.description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    given = vars(parser.parse_args())
    http = {"host": given.pop("host"), "port": given.pop("port")}
    try:
        served = app(Arguments(**given))
    except UserError as error:
        sys.exit(f"error: {error}")
    except ValidationError as error:
        first = error.errors()[0]
        sys.exit(f"error: --{str(first['loc'][0]).replace('_', '-')}: {first['msg']}")
    serve.start(http_options=http)
    serve.run(served, blocking=True)


if __name__ == "__main__":
    main()
