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
# # Lightweight fine-tuning, from data to a quantized model
#
# *Is this a well-formed question?* A small pre-trained transformer learns to tell, with LoRA, on the machine at hand.
# The story goes from the data to an integer model that answers: data, statistics, tokenizing, model, evaluation before,
# LoRA, training, evaluation after, inference, quantization-aware training, the converted model, inference with it,
# pictures. Every number below is measured by the cell above it.
#
# **One switch decides what is trained.** With `ON_THE_HUB = False` it is MiniLM (22 million parameters, by pip) on the
# 1,980 queries that come with Feathertune: a few minutes on two cores, no network. With `True` it is GPT-2 (124
# million) on Google's 25,100 queries, both fetched from the Hugging Face Hub, for ten epochs: take a GPU, or a long
# while. What was executed here, and what the tests execute, is `False`.

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
# A recipe names the data, its columns, and the rule that makes a label of the raters' mean: above 0.5 is well-formed.
# Reading is strict: a bad row is an error that names its line; duplicates and texts that are in two splits are counted.

# %%
print(show.data(NAME))

# %% [markdown]
# ## 2 Statistics
#
# How were the texts rated? Google's were rated by five people each: where these disagree, no model can be right every
# time. The sample's were written by hand, well-formed or not, so its ratings are 0 or 1.

# %%
description = feathertune.inspect_data(NAME)
histogram = description["splits"]["train"]["ratings"]["histogram"]

figure = Figure(figsize=(5.5, 2.6), layout="constrained")
axes = figure.add_subplot()
axes.bar([float(rating) for rating in histogram], list(histogram.values()), width=0.06, color="#0072B2")
axes.set_xlabel("Mean rating (1: all say well-formed)")
axes.set_ylabel("Texts in train")
figure

# %%
for split, told in description["splits"].items():
    labels = ", ".join(f"{count:,} {label}" for label, count in told["labels"].items())
    print(f"{split}: {told['count']:,} texts, {labels}; median {told['tokens']['median']:.0f} tokens")

# %% [markdown]
# ## 3 Tokenizing
#
# The model reads pieces of words. Texts are not padded to the longest of their batch: they are laid end to end, and
# attention alone knows where one ends.

# %%
QUESTIONS = ["How do magnets work?", "how magnets does work", "what is the capital of france?", "capital france what"]
print(show.tokens(recipe.model.source, QUESTIONS))

# %% [markdown]
# ## 4 Model
#
# The base with a new classification head. Layers that LoRA adapts are marked.

# %%
print(show.model(NAME))

# %% [markdown]
# ## 5 Evaluation before training
#
# The head is untrained, so this is close to guessing. It is measured all the same: without it, 'after' says little.

# %%
print(show.metrics(feathertune.evaluate_untrained(recipe)))

# %% [markdown]
# ## 6 LoRA
#
# The base's weights $W$ stay as they are. Beside each adapted one, two thin matrices are trained:
# $W x + \frac{\alpha}{r} B A x$. The parameter line above says how few numbers that is.

# %%
lora = recipe.lora
print(f"rank {lora.rank}, alpha {lora.alpha:g}, dropout {lora.dropout:g}, on {lora.targets}")

# %% [markdown]
# ## 7 Training
#
# One call evaluates, trains, evaluates again, and writes everything to a run folder. `resume=True` goes on with a run
# that was stopped, and leaves a finished one as it is, so that this cell can be run twice.

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
# Before, after, and the majority class that any model must beat, with 95% intervals. The last line says whether the
# improvement is shown, and it says so too where it is not.

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
# Two more epochs from the LoRA run, with the rounding of int8 weights and int8 activations in view: on the merged
# weight $W + \frac{\alpha}{r} B A$, so that merging changes nothing. What is evaluated afterwards are the integers
# themselves.

# %%
quantized = feathertune.load_recipe(
    NAME, ["method=qat", f"init_from={RUNS / 'lora'}", "quantize={weights: int8, epochs: 2}"]
)
summary_int8 = feathertune.train(quantized, RUNS / "int8", resume=True)
print(show.summary(summary_int8))

# %% [markdown]
# ## 11 The converted model
#
# The integers and their scales are a folder of their own. An export carries the same integers, and is kept only if it
# answers the whole validation split as the run did. (ONNX needs `pip install 'feathertune[onnx]'`.)

# %%
EXPORTED = RUNS / "onnx"
if not EXPORTED.exists():
    export = feathertune.export_run(RUNS / "int8", "onnx", EXPORTED)
    print(
        f"the same label for {export.parity.label_agreement:.1%} of {export.parity.rows:,} {export.parity.split} texts"
    )

for folder in (RUNS / "lora" / "adapter", RUNS / "int8" / "quantized", EXPORTED):
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder.relative_to(RUNS)}: {size / 2**20:.1f} MiB")

# %% [markdown]
# The adapter is the smallest, but it needs its base beside it; the other two are whole.

# %% [markdown]
# ## 12 Inference with it

# %%
print(show.predictions(feathertune.Predictor(EXPORTED).predict(QUESTIONS)))

# %% [markdown]
# ## 13 Pictures
#
# The accuracy at every stage, the ROC curve, and whether the probabilities can be trusted. `report.html` in each run
# folder has all of them, with what they mean.

# %%
pictures = show.pictures(RUNS / "int8")
pictures["accuracy"]

# %%
pictures["roc"]

# %%
pictures["reliability"]

# %%
print(f"the reports: {RUNS / 'lora' / 'report.html'}, {RUNS / 'int8' / 'report.html'}")
