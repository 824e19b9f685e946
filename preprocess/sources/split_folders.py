"""Which folders of a dataset are its splits."""

from collections.abc import Sequence

# Folders that are splits, in order: anchors are fitted to the first.
TRAIN_FOLDERS = ('train', 'trainval', 'training')
TEST_FOLDERS = ('valid', 'val', 'validation', 'test', 'testing')
SPLIT_FOLDERS = (*TRAIN_FOLDERS, *TEST_FOLDERS)
SAME = {'training': 'train', 'val': 'valid', 'validation': 'valid', 'testing': 'test'}  # other names of a split
AROUND_SPLITS = ('images', 'jpegimages')  # as in images/train
ALL = 'all'  # the split of images that no list and no folder divides


def split_by_folder(ids: Sequence[str]) -> dict[str, list[str]]:
    """The ids of each split, by the folders `train`, `valid`, `test` ... in which they lie, or else all in one split.

    They are splits if one of them is for training, or there are two, or nothing lies beside them; folders around all
    of them are passed over. Ids that lie in none of them, beside others that do, are under ''.
    """
    splits: dict[str, list[str]] = {name: [] for name in (*SPLIT_FOLDERS, '')}
    depth = _common_depth(ids)
    for image_id in ids:
        folders = [part.lower() for part in image_id.split('/')[:-1]][depth:]
        while folders and folders[0] in AROUND_SPLITS:
            folders.pop(0)
        splits[folders[0] if folders and folders[0] in SPLIT_FOLDERS else ''].append(image_id)
    divided = {name: listed for name, listed in splits.items() if listed}
    named = divided.keys() - {''}
    is_divided = named & set(TRAIN_FOLDERS) or len(named) > 1 or (named and '' not in divided)
    return divided if is_divided else {ALL: list(ids)}


def _common_depth(ids: Sequence[str]) -> int:
    """How many folders lead to all of the ids and are no splits."""
    paths = [image_id.split('/')[:-1] for image_id in (min(ids, default=''), max(ids, default=''))]
    depth = 0
    for first, last in zip(*paths, strict=False):  # what the first and the last in order share, all share
        if first != last or first.lower() in SPLIT_FOLDERS:
            break
        depth += 1
    return depth


def split_of(path: str) -> frozenset[str]:
    """The splits that the folders of a path name, by one name each; none for most paths."""
    folders = {part.lower() for part in path.split('/')[:-1]}
    return frozenset(SAME.get(name, name) for name in folders.intersection(SPLIT_FOLDERS))
