"""Methods beside each other: a recipe -> the runs to make -> their folders -> what they say together."""
