# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lightweight fine-tuning, from data to a quantized model
#
# *Is this a well-formed question?* We teach a small pre-trained transformer to classify questions, with LoRA, on an
# ordinary machine. The steps: data, statistics, tokenization, model, evaluation before training, LoRA, training,
# evaluation after training, inference, quantization-aware training (QAT), the converted model, inference with it,
# figures. Every number below is measured by the cell above it.
#
# **One switch selects the model and the data.** `ON_THE_HUB = False` trains MiniLM (22 million parameters, installed by
# pip) on the 1,980 queries that come with Feathertune: a few minutes on two cores, no network. `True` trains GPT-2 (124
# million parameters) on Google's 25,100 queries, both downloaded from the Hugging Face Hub, for ten epochs: use a GPU,
# or be patient. This notebook was executed with `False`, as it is by the tests.

# %%
ON_THE_HUB = False

# %%
# %matplotlib inline
from pathlib import Path

from matplotlib.figure import Figure
from rich import print

import feathertune
from feathertune import show

NAME = "wellformed-gpt2" if ON_THE_HUB else "quickstart"
RUNS = Path("runs") / "notebook" / NAME
recipe = feathertune.load_recipe(NAME)

# %% [markdown]
# ## 1 Data
#
# A recipe names the data, its columns, and the rule that turns the mean rating into a label: above 0.5 is well-formed.
# A bad row is an error that names its line. Duplicates and texts that occur in two splits are counted.

# %%
print(show.data(NAME))

# %% [markdown]
# ## 2 Statistics
#
# How were the texts rated? Five people rated each of Google's queries; where they disagree, no model can always be
# right. The queries of the sample were written as well-formed or ill-formed, so their ratings are 0 or 1.

# %%
description = feathertune.inspect_data(NAME)
histogram = description["splits"]["train"]["ratings"]["histogram"]

figure = Figure(figsize=(5.5, 2.6), layout="constrained")
axes = figure.add_subplot()
axes.bar([float(rating) for rating in histogram], list(histogram.values()), width=0.06, color="#0072B2")
axes.set_xlabel("Mean rating (1: all raters say well-formed)")
axes.set_ylabel("Texts in train")
figure

# %%
for name, split in description["splits"].items():
    labels = ", ".join(f"{count:,} {label}" for label, count in split["labels"].items())
    print(f"{name}: {split['count']:,} texts, {labels}; median {split['tokens']['median']:.0f} tokens")

# %% [markdown]
# ## 3 Tokenizing
#
# The model reads tokens, which are words or pieces of words. Texts are not padded to the longest one of their batch:
# they are concatenated, and attention does not cross from one text to the next.

# %%
QUESTIONS = ["How do magnets work?", "how magnets does work", "what is the capital of france?", "capital france what"]
print(show.tokens(recipe.model.source, QUESTIONS))

# %% [markdown]
# ## 4 Model
#
# The base model with a new classification head. The layers that LoRA adapts are marked.

# %%
print(show.model(NAME))

# %% [markdown]
# ## 5 Evaluation before training
#
# The head is untrained, so the predictions are close to chance. Without this baseline, results after training mean
# little.

# %%
print(show.metrics(feathertune.evaluate_untrained(recipe)))

# %% [markdown]
# ## 6 LoRA
#
# The weights $W$ of the base are frozen. For each adapted one, two thin matrices $A$ and $B$ are trained:
# $W x + \frac{\alpha}{r} B A x$. The last line of the model above shows how few parameters these have.

# %%
lora = recipe.lora
print(f"rank {lora.rank}, alpha {lora.alpha:g}, dropout {lora.dropout:g}, on {lora.targets}")

# %% [markdown]
# ## 7 Training
#
# One call evaluates, trains, evaluates again, and writes everything to a run folder. `resume=True` continues a run that
# was stopped and leaves a finished one as it is, so this cell can be executed twice.

# %%
summary = feathertune.train(recipe, RUNS / "lora", resume=True)
seconds, speed = summary["train_seconds"], summary["train_examples_per_second"]
print(f"{summary['epochs']} epochs in {seconds:.0f} s, {speed:.0f} examples/s")

# %%
pictures = show.pictures(RUNS / "lora")
pictures["loss"]

# %%
pictures["metrics"]

# %% [markdown]
# ## 8 Evaluation after training
#
# The metrics before and after training with 95% intervals, next to the majority class, which any model should beat. The
# last line states whether the gain is statistically clear.

# %%
print(show.summary(summary))

# %%
pictures["confusion"]

# %% [markdown]
# ## 9 Inference

# %%
predictor = feathertune.Predictor(RUNS / "lora")
print(show.predictions(predictor.predict(QUESTIONS)))

# %% [markdown]
# ## 10 Quantization-aware training
#
# Two more epochs from the LoRA run, with fake quantization of weights and activations to int8. It quantizes the merged
# weight $W + \frac{\alpha}{r} B A$, so that merging changes nothing. Symmetric activations are the fastest in
# onnxruntime. The evaluation afterwards uses the integer model itself.

# %%
quantized = feathertune.load_recipe(
    NAME,
    ["method=qat", f"init_from={RUNS / 'lora'}", "quantize={weights: int8, activations: symmetric, epochs: 2}"],
)
summary_int8 = feathertune.train(quantized, RUNS / "int8", resume=True)
print(show.summary(summary_int8))

# %% [markdown]
# ## 11 The converted model
#
# The integers and their scales are in a folder of their own. An export has the same integers. If its predictions for
# the whole validation split do not agree with those of the run, it is set aside as `onnx.refused`. (ONNX needs
# `pip install 'feathertune[onnx]'`.)

# %%
EXPORTED = next(RUNS.glob("onnx*"), None)
if EXPORTED is None:
    export = feathertune.export_run(RUNS / "int8", "onnx", RUNS / "onnx")
    EXPORTED = export.folder
    print(
        f"the same label for {export.parity.label_agreement:.1%} of {export.parity.rows:,} {export.parity.split} texts",
        *export.parity.refused,
        sep="\n",
    )

for folder in (RUNS / "lora" / "adapter", RUNS / "int8" / "quantized", EXPORTED):
    files = [file.stat() for file in folder.rglob("*") if file.is_file()]
    sizes = {file.st_ino: file.st_size for file in files}  # two names of one file count once
    print(f"{folder.relative_to(RUNS)}: {sum(sizes.values()) / 2**20:.1f} MiB")

# %% [markdown]
# The adapter is the smallest, but it needs its base model; the other two are complete models.

# %% [markdown]
# ## 12 Inference with it

# %%
print(show.predictions(feathertune.Predictor(EXPORTED).predict(QUESTIONS)))

# %% [markdown]
# ## 13 Pictures
#
# The accuracy at every stage, the ROC curve, and the calibration of the probabilities. `report.html` in each run folder
# has all figures, with captions.

# %%
pictures = show.pictures(RUNS / "int8")
pictures["accuracy"]

# %%
pictures["roc"]

# %%
pictures["reliability"]

# %%
print(f"reports: {RUNS / 'lora' / 'report.html'}, {RUNS / 'int8' / 'report.html'}")
