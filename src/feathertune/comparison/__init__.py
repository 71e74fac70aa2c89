"""Comparing methods: a recipe -> the runs to make -> their folders -> statistics and sentences."""
