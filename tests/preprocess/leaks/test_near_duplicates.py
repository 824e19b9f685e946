import cv2
import numpy as np
import pytest
from conftest import encode_jpeg

from preprocess.leaks import fingerprint, near_duplicates
from yolo.data import images

BITS = 7


def picture(seed, size=(240, 320)):
    """An image with changes of brightness of every length, as photos have them."""
    rng = np.random.default_rng(seed)
    image = np.zeros((*size, 3), np.float32)
    for cells in (3, 6, 12, 24, 48):
        noise = rng.normal(0, 60 / np.sqrt(cells), (cells, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(image + 120, 0, 255).astype(np.uint8)


def compress(image, quality):
    return images.decode(encode_jpeg(image, quality))


CHANGES = {
    'the same': lambda image: image,
    'compressed': lambda image: compress(image, 30),
    'smaller': lambda image: cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA),
    'brighter': lambda image: np.clip(image * 1.1 + 10.0, 0, 255).astype(np.uint8),
    'mirrored': lambda image: compress(image[:, ::-1], 90),
    'cropped': lambda image: image[6:-8, 14:-8],
    'cropped and mirrored': lambda image: image[10:-6, 8:-15][:, ::-1],
}


def stored(image):
    return images.resize(image, (96, 96))


def fingerprints(pictures):
    return fingerprint.unpack([fingerprint.of_image(stored(each)) for each in pictures])


def pairs_of(found):
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


@pytest.mark.parametrize('kind', CHANGES)
def test_changed_images_are_found_and_no_others(kind):
    pictures = [picture(seed) for seed in range(40)]
    found = near_duplicates.find(fingerprints([*pictures, *map(CHANGES[kind], pictures)]), BITS)
    expected = {(i, i + 40) for i in range(40)}
    assert pairs_of(found) <= expected
    assert len(found) >= (36 if 'cropped' in kind else 40)
    assert set(found.mirrored.tolist()) == {'mirrored' in kind}
    assert np.all(np.diff(found.similarity) <= 0)
    assert found.is_complete


def test_other_crops_than_ours_are_no_duplicates():
    pictures = [picture(seed) for seed in range(10)]
    found = near_duplicates.find(fingerprints([*pictures, *(each[60:, 80:] for each in pictures)]), 11)
    assert len(found) == 0


def test_equal_hashes_of_different_images_are_no_pair():
    """A bright sky decides the signs of few frequencies; here all signs are equal, and the sizes are not."""
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1], (16, 16))
    different = fingerprint.normalize((signs * rng.exponential(1, (2, 16, 16)) ** 3).astype(np.float32))
    assert len(np.unique(fingerprint.hashes(different))) == 1
    assert len(near_duplicates.find(different, BITS)) == 0


def test_mirroring_and_cropping_a_fingerprint_is_what_they_do_to_the_image():
    pictures = [picture(seed, (400, 400)) for seed in range(5)]
    mirrored = fingerprint.mirror(fingerprints(pictures))
    assert np.abs(mirrored - fingerprints([each[:, ::-1] for each in pictures])).max() < 0.02
    cropped = fingerprint.crop(fingerprints(pictures), 0.05)
    expected = fingerprints([each[20:-20, 20:-20] for each in pictures])
    assert np.all(np.einsum('pij,pij->p', cropped, expected) > 0.9)
    assert np.all(np.einsum('pij,pij->p', fingerprints(pictures), expected) < 0.9)


def test_images_of_one_colour_have_no_fingerprint():
    grey = np.full((96, 96, 3), 127, np.uint8)
    noise = np.random.default_rng(0).integers(120, 135, (96, 96, 3), dtype=np.uint8)
    assert fingerprint.of_image(grey) == ''
    assert fingerprint.is_flat(fingerprint.of_image(noise))
    assert not fingerprint.is_flat(fingerprint.of_image(stored(picture(0))))
    assert fingerprint.unpack([]).shape == (0, 16, 16)
    assert len(near_duplicates.find(fingerprint.unpack([]), BITS)) == 0


def test_the_bars_of_a_letterbox_do_not_count():
    image = picture(3, (120, 320))
    boxed = images.resize(image, (96, 96), 'letterbox')
    text = fingerprint.of_stored(boxed, image.shape[:2], 'letterbox')
    plain = fingerprint.of_stored(stored(image), image.shape[:2], 'stretch')
    both = fingerprint.unpack([text, plain, fingerprint.of_image(boxed)])
    assert np.vdot(both[0], both[1]) > 0.95
    assert np.vdot(both[2], both[1]) < 0.7


def test_texts_that_are_no_fingerprints():
    text = fingerprint.of_image(stored(picture(0)))
    assert fingerprint.is_fingerprint(text)
    assert fingerprint.is_fingerprint('')
    assert fingerprint.is_fingerprint(fingerprint.of_image(np.eye(96, dtype=np.uint8)[..., None]))
    assert not any(map(fingerprint.is_fingerprint, (text[:-4], text + 'AAAA', 'ä', '****')))


def test_too_many_pairs_end_the_search_and_are_said(monkeypatch):
    same = np.repeat(fingerprints([picture(0)]), 50, 0)
    whole = near_duplicates.find(same, BITS)
    assert (len(whole), whole.is_complete) == (50 * 49 / 2, True)
    monkeypatch.setattr(near_duplicates, 'MOST_PAIRS', 1000)
    assert not near_duplicates.find(same, BITS).is_complete
    monkeypatch.setattr(near_duplicates, 'MOST_PAIRS', 10**6)
    monkeypatch.setattr(near_duplicates, 'MOST_COMPARED', 1000)
    assert not near_duplicates.find(same, BITS).is_complete


def test_few_pairs_are_in_memory_and_the_limit_is_looked_at_after_each_few(monkeypatch):
    monkeypatch.setattr(near_duplicates, 'AT_ONCE', 100)
    monkeypatch.setattr(near_duplicates, 'MOST_PAIRS', 1000)
    found = near_duplicates.find(np.repeat(fingerprints([picture(0)]), 200, 0), BITS)
    assert not found.is_complete
    assert 1000 < len(found) <= 1100


def test_pairs_within_a_split_do_not_hide_those_of_two(monkeypatch):
    monkeypatch.setattr(near_duplicates, 'MOST_PAIRS', 100)
    same = np.repeat(fingerprints([picture(0)]), 41, 0)
    split_of = np.array([0] * 40 + [1])
    found = near_duplicates.find(same, BITS, split_of)
    assert np.count_nonzero(split_of[found.first] != split_of[found.second]) == 40
    assert not found.is_complete


def camera(number):
    """Fingerprints whose hashes are near and which have little else in common, as pictures of a fixed camera."""
    rng = np.random.default_rng(0)
    signs = np.where(rng.random((number, 256)) < 0.01, -1, 1) * rng.choice([-1, 1], 256)
    return fingerprint.normalize(
        (signs * rng.exponential(1, (number, 256)) ** 2).astype(np.float32).reshape(-1, 16, 16)
    )


def test_crops_are_tried_where_the_middle_is_alike_and_not_without_end(monkeypatch):
    tried = []
    best_crop = near_duplicates.best_crop
    monkeypatch.setattr(
        near_duplicates, 'best_crop', lambda whole, other: (tried.append(len(whole)), best_crop(whole, other))[1]
    )
    assert near_duplicates.find(camera(100), BITS).has_all_crops
    assert sum(tried) < 100 * 99 / 2 / 10
    monkeypatch.setattr(near_duplicates, 'MOST_CROPPED', (3, 0))
    pictures = [picture(seed) for seed in range(10)]
    tried.clear()
    found = near_duplicates.find(fingerprints([*pictures, *map(CHANGES['cropped'], pictures)]), BITS)
    assert (found.is_complete, found.has_all_crops) == (True, False)
    assert sum(tried) == 2 * 3
