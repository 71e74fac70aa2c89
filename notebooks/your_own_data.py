# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own data
#
# All you need is a file with a column of texts and a column of labels. This notebook makes one up; use your own path
# instead.

# %%
import csv
from pathlib import Path

from rich import print

import feathertune
from feathertune import show

DATA = Path("runs") / "notebook" / "my-data"
DATA.mkdir(parents=True, exist_ok=True)
things = ["door", "lamp", "kettle", "chair", "radio", "clock", "window", "heater", "printer", "bicycle"]
good = [
    "I love this {}.",
    "The {} works well.",
    "A fine {}, thank you!",
    "This {} is just right.",
    "Best {} I ever had.",
]
bad = [
    "I hate this {}.",
    "The {} broke at once.",
    "A poor {}, no thanks.",
    "This {} is a mess.",
    "Worst {} I ever had.",
]
rows = [
    (text.format(thing), label)
    for thing in things
    for texts, label in ((good, "praise"), (bad, "complaint"))
    for text in texts
]
with (DATA / "train.csv").open("w", newline="") as file:
    csv.writer(file).writerows([("text", "label"), *rows])

# %% [markdown]
# ## Look first
#
# Counts, lengths, labels, duplicates, and texts that leak from one split into another. There is no validation file, so
# a tenth of the training data is set aside for validation.

# %%
print(show.data(str(DATA)))

# %% [markdown]
# ## Train
#
# Any recipe will do; three overrides point it to your data. The table shows whether the model is better than before,
# and better than always predicting the majority class.

# %%
recipe = feathertune.load_recipe(
    "quickstart", [f"data.source={DATA}", "data.text=text", "data.label={column: label}", "training.epochs=4"]
)
summary = feathertune.train(recipe, "runs/notebook/mine", resume=True)
print(show.summary(summary))

# %% [markdown]
# With so few examples, the intervals are wide, and the model may do far worse on other texts. More labelled texts in a
# `validation.csv` would help.
#
# ## Use it

# %%
predictor = feathertune.Predictor("runs/notebook/mine")
print(show.predictions(predictor.predict(["My new lamp is wonderful!", "The lamp never worked."])))

# %% [markdown]
# All results are in `runs/notebook/mine`: open its `report.html` or read its `README.md`.
