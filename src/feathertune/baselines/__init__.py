"""Baselines that train no transformer: the majority class and a bag of words."""
