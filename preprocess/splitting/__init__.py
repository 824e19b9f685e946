"""--make_splits: images given out to splits, groups together and classes in proportion."""
