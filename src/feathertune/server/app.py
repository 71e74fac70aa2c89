"""The app: routes of three protocols over one classifier, the page, and what operators need."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from feathertune.server.batching import Batcher
from feathertune.server.classifying import Classifier, scores
from feathertune.server.documentation import documentation_page
from feathertune.server.info import Info
from feathertune.server.limits import Limits
from feathertune.server.metrics import Metrics
from feathertune.server.protocols import (
    Classified,
    ClassifyRequest,
    ClassifyResponse,
    ExplainRequest,
    Explanation,
    InferenceRequest,
    LabelScore,
    PredictRequest,
    Problem,
    Usage,
)
from feathertune.server.refusals import AsciiJson, Refusal
from feathertune.server.settings import Settings
from feathertune.serving.predictor import Predictor
from feathertune.web.pages import PAGE

_PROBLEMS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    404: "There is no such model or path.",
    408: "The body arrived too slowly.",
    413: "A text, the list of texts or the body is too long.",
    422: "A field is wrong; the sentence names it.",
    424: "The model is broken.",
    429: "The server is overloaded; Retry-After says when to try again.",
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": sentence} for status, sentence in _PROBLEMS.items()
}
_KEY: dict[int | str, dict[str, Any]] = {status: _RESPONSES[status] for status in (400, 401, 408, 413, 429)}


def build_app(
    predictor: Predictor, info: Info, settings: Settings, beside: Sequence[tuple[Predictor, Info]] = ()
) -> FastAPI:
    """The app that serves a model.

    Args:
        predictor: the model; only the app may use it from now on, since it predicts in a thread.
        info: what `/info` says.
        settings: the limits.
        beside: models that the page compares with this one, under /beside/1 and so on; `info.beside` lists them.
    """
    metrics = Metrics()
    batchers = [Batcher(predictor, settings, metrics)]
    batchers += [Batcher(other, settings, Metrics()) for other, _ in beside]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for batcher in batchers:
            batcher.start()
        yield
        for batcher in batchers:
            await batcher.stop()

    app = FastAPI(
        title=f"Feathertune: {info.model_id}",
        description="Scores are calibrated probabilities: the logits, divided by the temperature, through a softmax. "
        "Of two labels, the second is the answer where its probability is at least the threshold; of several, the most "
        "likely one is. Both numbers are in /info.",
        version=info.version,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        default_response_class=AsciiJson,
    )
    _add_handlers(app)
    _add_predictions(app, Classifier(predictor, batchers[0], settings), info)
    _add_operations(app, info, metrics)
    _add_page(app)
    for path, (other, about), batcher in zip(info.beside, beside, batchers[1:], strict=True):
        app.mount(f"/{path}", _app_beside(Classifier(other, batcher, settings), about))
    app.add_middleware(Limits, settings=settings, metrics=metrics, admit=batchers[0].admit)
    return app


def _app_beside(classifier: Classifier, info: Info) -> FastAPI:
    """The routes of another model, without documentation, page and limits, which are the app's around it."""
    app = FastAPI(title=info.model_id, openapi_url=None, default_response_class=AsciiJson)
    _add_handlers(app)
    _add_predictions(app, classifier, info)

    @app.get("/info")
    async def about() -> Info:
        return info

    return app


def _add_predictions(app: FastAPI, classifier: Classifier, info: Info) -> None:
    @app.post("/predict", summary="Predict, as text-embeddings-inference does", responses=_RESPONSES)
    async def predict(request: PredictRequest) -> list[LabelScore] | list[list[LabelScore]]:
        """The scores of all labels, highest first: a list for one text, a list of lists for a batch."""
        texts, single = request.inputs
        answers = await classifier.classify(texts, "inputs", truncate=bool(request.truncate))
        given = [scores(one, "none" if request.raw_scores else "softmax") for one in answers.predictions]
        return given[0] if single else given

    @app.post("/", summary="Predict, as Hugging Face's Inference API does", responses=_RESPONSES)
    async def infer(request: InferenceRequest) -> list[list[LabelScore]]:
        """The scores of the labels, highest first: a list for each text. Longer texts are cut."""
        parameters, truncate, function, top = request.parameters, True, "softmax", None
        if parameters is not None:
            truncate = parameters.truncation is not False
            function, top = parameters.function_to_apply or "softmax", parameters.top_k
        answers = await classifier.classify(request.inputs.texts, "inputs", truncate=truncate)
        return [scores(one, function, top) for one in answers.predictions]

    @app.post("/classify", summary="Classify, as vLLM does", responses=_RESPONSES)
    async def classify(request: ClassifyRequest) -> ClassifyResponse:
        """The label and the probabilities of all labels, in their order in `/info`, for each text."""
        if request.model not in (None, info.model_id):
            raise Refusal(404, f"model: there is no model {request.model!r}; this server has {info.model_id!r}")
        cut = request.truncate_prompt_tokens
        if cut not in (None, -1, info.max_length):
            raise Refusal(422, f"truncate_prompt_tokens: texts are cut at {info.max_length} tokens; send -1 for that")
        answers = await classifier.classify(request.input.texts, "input", truncate=cut is not None)
        data = [
            Classified(
                index=index, label=one.label, probs=list(one.probabilities.values()), num_classes=len(info.labels)
            )
            for index, one in enumerate(answers.predictions)
        ]
        return ClassifyResponse(
            id=f"classify-{uuid.uuid4().hex}",
            created=int(time.time()),
            model=info.model_id,
            data=data,
            usage=Usage(prompt_tokens=answers.tokens, total_tokens=answers.tokens),
        )

    @app.post("/explain", summary="Which words mattered, by occlusion", responses=_RESPONSES)
    async def explain(request: ExplainRequest) -> Explanation:
        """Each word is left out once; its weight is by how much the label becomes less probable without it."""
        return await classifier.explain(request.text)


def _add_operations(app: FastAPI, info: Info, metrics: Metrics) -> None:
    @app.get("/health", summary="Whether the server answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/info", summary="The model, its labels, its evaluation, and the limits", responses=_KEY)
    async def about() -> Info:
        return info

    @app.get("/v1/models", summary="The model's name, as vLLM gives it", responses=_KEY)
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": info.model_id, "object": "model", "owned_by": "feathertune"}]}

    @app.get("/metrics", summary="Counts and times for Prometheus", response_class=Response, responses=_KEY)
    async def measured() -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(documentation_page(app.openapi()))

    @app.get("/docs.css", include_in_schema=False)
    async def style() -> Response:
        css = resources.files("feathertune.server").joinpath("static/docs.css").read_text(encoding="utf-8")
        return Response(css, media_type="text/css")


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE))


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return refusal.response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        sentence = {
            400: "the body is not JSON in UTF-8, or is nested too deeply",
            404: f"there is no {request.url.path}; see /docs",
            405: f"{request.url.path} does not take {request.method}; see /docs",
        }.get(error.status_code, str(error.detail))
        return Refusal(error.status_code, sentence, "Http", dict(error.headers or {})).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            reason = first.get("ctx", {}).get("error", "")
            return Refusal(400, f"the body is not JSON: {reason} at character {first['loc'][-1]}").response()
        place = ".".join(map(str, first["loc"][1:]))
        sentence = "the field is missing" if first["type"] == "missing" else first["msg"]
        if not place:
            sentence = "expected a JSON object, with the header `Content-Type: application/json`"
        return Refusal(422, f"{place or 'the body'}: {sentence}").response()
