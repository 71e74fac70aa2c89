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
# A file with a column of texts and a column of labels is all that is needed. Here it is made on the spot: put your own
# path in its place.

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
# Counts, lengths, labels, duplicates, and texts that leak from one split to another. There is no validation file, so a
# tenth of train is set aside for it.

# %%
print(show.data(str(DATA)))

# %% [markdown]
# ## Train
#
# Any recipe will do; three changes point it to the data. Then the answer: is it better than before, and than always
# saying the same?

# %%
recipe = feathertune.load_recipe(
    "quickstart", [f"data.source={DATA}", "data.text=text", "data.label={column: label}", "training.epochs=4"]
)
summary = feathertune.train(recipe, "runs/notebook/mine", resume=True)
print(show.summary(summary))

# %% [markdown]
# With so few examples the intervals are wide: on other texts it may do far worse than here. More labelled texts in a
# `validation.csv` are the cure.
#
# ## Use it

# %%
predictor = feathertune.Predictor("runs/notebook/mine")
print(show.predictions(predictor.predict(["My new lamp is wonderful!", "The lamp never worked."])))

# %% [markdown]
# Everything that was measured is in `runs/notebook/mine`: open its `report.html`, read its `README.md`.
