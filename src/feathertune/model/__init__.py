"""The model: a transformers base run on packed tokens, adapted by LoRA, stored as PEFT does."""
