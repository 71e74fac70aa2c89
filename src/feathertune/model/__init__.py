"""The model: a transformers base model that runs on packed tokens, LoRA, and PEFT's file format."""
