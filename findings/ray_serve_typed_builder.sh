#!/usr/bin/env bash
# Ray Serve turns the arguments of `serve run module:builder name=value` into the pydantic model that the builder's only
# parameter is annotated with, which its documentation calls a typed application builder. It looks whether the annotation
# is a class, and under `from __future__ import annotations` it is a string. Then nothing is validated, and the builder gets
# a plain dict, in silence: defaults are missing, numbers are strings, and the first attribute fails far from the cause. A
# formatter or linter that adds the import to every module (ruff's I002, for example) breaks a deployment that worked.
# FastAPI and pydantic itself evaluate such annotations. If the behaviour is another, CHANGED is printed and the exit status
# is 1.
#
# Output:
# ray 2.60.0
# annotations evaluated  Arguments {'replicas': 2, 'name': 'none'}
# annotations postponed  dict {'replicas': '2'}
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install 'ray[serve]==2.60.0'

cat > evaluated.py <<'PYTHON'
from pydantic import BaseModel
from ray import serve


class Arguments(BaseModel):
    replicas: int
    name: str = "none"


@serve.deployment
class Nothing:
    pass


def builder(arguments: Arguments) -> serve.Application:
    shown = arguments if isinstance(arguments, dict) else arguments.model_dump()
    print(type(arguments).__name__, shown)
    return Nothing.bind()
PYTHON
{ echo 'from __future__ import annotations'; cat evaluated.py; } > postponed.py
cat > build.py <<'PYTHON'
# What `serve run` calls with the arguments of the command line, which are strings.
import sys
from importlib import import_module

from ray.serve._private.api import call_user_app_builder_with_args_if_necessary as call

call(import_module(sys.argv[1]).builder, {"replicas": "2"})
PYTHON

echo "ray $(venv/bin/python -c 'import ray; print(ray.__version__)')"
evaluated=$(venv/bin/python build.py evaluated 2>/dev/null)
postponed=$(venv/bin/python build.py postponed 2>/dev/null)
echo "annotations evaluated  $evaluated"
echo "annotations postponed  $postponed"
if [[ $evaluated != "Arguments {'replicas': 2, 'name': 'none'}" || $postponed != "dict {'replicas': '2'}" ]]; then
    echo CHANGED
    exit 1
fi
