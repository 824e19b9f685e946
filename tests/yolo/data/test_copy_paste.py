"""Pasted objects against a slow twin, pixel by pixel; how often which ones; and that their boxes are on them."""

import math
import types

import numpy as np
import pytest
import tensorflow as tf
from test_pipeline import check_objects, take

from yolo.data import augment, copy_paste, pipeline

HEIGHT, WIDTH = 40, 64
WEIGHTS = np.array([1.0, 0.1, 0.4], np.float32)


def batch(seed=0, num_images=8, num_objects=5, largest=0.6):
    """Random pictures with some objects, the last one padding; those of image 2 are all padding."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (num_images, HEIGHT, WIDTH, 3), np.uint8)
    low = rng.uniform(0, 0.7, (num_images, num_objects, 2))
    boxes = np.concatenate([low, np.minimum(low + rng.uniform(0.02, largest, low.shape), 1)], -1).astype(np.float32)
    labels = rng.integers(0, 3, (num_images, num_objects)).astype(np.int32)
    labels[:, -1], labels[2] = -1, -1
    boxes[labels < 0] = 0
    return images, boxes, labels


def covered(inner, outer):
    """The share of one box that lies in another."""
    sides = [max(0.0, min(inner[i + 2], outer[i + 2]) - max(inner[i], outer[i])) for i in (0, 1)]
    area = (inner[2] - inner[0]) * (inner[3] - inner[1])
    return sides[0] * sides[1] / area if area > 0 else 0.0


def find_place(places, size, others):
    """The first of the places, as x and y in pixels, with the least of an object in it; None without room."""
    if size[0] > WIDTH or size[1] > HEIGHT:
        return None
    least, best = 0.15, None
    for u, v in places:
        x, y = math.floor(u * (WIDTH - size[0] + 1)), math.floor(v * (HEIGHT - size[1] + 1))
        place = x / WIDTH, y / HEIGHT, (x + size[0]) / WIDTH, (y + size[1]) / HEIGHT
        most = max(max(covered(place, other), covered(other, place)) for other in others)
        if most < least:
            least, best = most, (x, y)
    return best


def share(pixel, size):
    """Of the pasted object in a pixel, counted from where object and margin of 2 pixels begin."""
    return min(1.0, (min(pixel, size - 1 - pixel) + 1) / 3)


def paste_slowly(images, boxes, labels, draws, regions):
    """The same by loops."""
    out = images.copy(), [list(map(list, own)) for own in boxes], [list(own) for own in labels]
    for draw in draws:
        for i in range(len(images)):
            source = int(draw.source[i])
            ranked = []
            for j, (x0, y0, x1, y1) in enumerate(boxes[source].astype(float)):
                if labels[source][j] >= 0 and x1 - x0 <= 0.5 and y1 - y0 <= 0.5:
                    value = math.log(WEIGHTS[labels[source][j]] / math.sqrt((x1 - x0) * (y1 - y0))) + draw.noise[i][j]
                    ranked.append((value, j))
            chosen = None
            for _, j in sorted(ranked, reverse=True)[:4]:
                own, others = boxes[source][j], [*np.delete(boxes[source], j, 0), *regions[source]]
                if all(max(covered(own, other), covered(other, own)) < 0.15 for other in others):
                    chosen = j
                    break
            place = None
            if chosen is not None:
                x0, y0, x1, y1 = boxes[source][chosen] * np.array([WIDTH, HEIGHT] * 2, np.float32)
                left, top = math.floor(x0) - 2, math.floor(y0) - 2
                size = math.ceil(x1) + 2 - left, math.ceil(y1) + 2 - top
                place = find_place(draw.places[i], size, [*out[1][i], *regions[i]])
            out[1][i].append([0.0] * 4)
            out[2][i].append(-1)
            if place is None:
                continue
            dx, dy = place[0] - left, place[1] - top
            out[1][i][-1] = [(x0 + dx) / WIDTH, (y0 + dy) / HEIGHT, (x1 + dx) / WIDTH, (y1 + dy) / HEIGHT]
            out[2][i][-1] = labels[source][chosen]
            for y in range(size[1]):
                for x in range(size[0]):
                    row, column = min(max(top + y, 0), HEIGHT - 1), min(max(left + x, 0), WIDTH - 1)
                    before = out[0][i, place[1] + y, place[0] + x].astype(float)
                    cover = share(x, size[0]) * share(y, size[1])
                    after = before + cover * (images[source][row, column] - before)
                    out[0][i, place[1] + y, place[0] + x] = np.round(after)
    return out


def numbers(num_images=8, num_objects=5, count=3, seed=7):
    seeds = tf.constant([seed, 4], tf.int64)
    return copy_paste.draw_objects(num_images, num_objects, count, seeds, slice(None))


@pytest.mark.parametrize(('seed', 'num_regions'), [(0, 0), (1, 0), (2, 2)])
def test_it_equals_the_slow_twin(seed, num_regions):
    images, boxes, labels = batch(seed, num_objects=7, largest=0.3)
    boxes[0, :3, 2:] = 0.95, 0.9  # most in this image are too large, or reached into
    regions = batch(seed + 9, num_objects=num_regions + 1)[1][:, :num_regions] / 2  # the last one is padding
    draws = numbers(num_objects=7, seed=seed)
    args = images, boxes, labels, tf.constant(WEIGHTS), draws
    got = [value.numpy() for value in copy_paste.paste_objects(*args, regions if num_regions else None)]
    plain = [copy_paste.Draw(*(value.numpy() for value in draw)) for draw in draws]
    expected_images, expected_boxes, expected_labels = paste_slowly(images, boxes, labels, plain, regions)
    np.testing.assert_array_equal(got[2], expected_labels)
    np.testing.assert_allclose(got[1], expected_boxes, atol=1e-6)
    assert np.abs(got[0].astype(int) - expected_images).max() <= 1  # rounded in float32
    assert 3 < (got[2][:, 7:] >= 0).sum() < 24
    np.testing.assert_array_equal(got[1][:, :7], boxes)


def test_objects_come_from_the_own_group_but_not_from_the_image_itself():
    for draw in numbers(num_images=400, count=2):
        number, source = np.arange(400), draw.source.numpy()
        assert (source // 4 == number // 4).all()
        steps = np.bincount((source - number) % 4, minlength=4)
        assert steps[0] == 0
        assert steps[1:].min() > 100


def test_rare_and_small_objects_come_more_often():
    """Objects of weights 1, 0.25 and 0.25 / 2, the last of twice the side: 8 : 2 : 1."""
    boxes = np.array([[[0, 0, 0.1, 0.1], [0.5, 0, 0.6, 0.1], [0.7, 0.7, 0.9, 0.9]]], np.float32)
    boxes, labels = np.repeat(boxes, 600, 0), np.repeat([[0, 1, 1]], 600, 0)
    draws = copy_paste.draw_objects(600, 3, 1, tf.constant([1, 0], tf.int64), slice(None))
    split = types.SimpleNamespace(objects_per_class={'common': 40, 'rare': 10})
    description = types.SimpleNamespace(classes=('rare', 'common'), split={'train': split}.get)
    weights = copy_paste.class_weights(description, 'train')
    _, pasted, found = copy_paste.paste_objects(np.zeros((600, 64, 64, 1), np.uint8), boxes, labels, weights, draws)
    is_large = (pasted[:, 3, 2] - pasted[:, 3, 0]).numpy() > 0.15
    kinds = (found[:, 3].numpy() + is_large)[found[:, 3] >= 0]
    counts = np.bincount(kinds, minlength=3)
    assert counts.sum() > 500
    np.testing.assert_allclose(counts / counts.sum(), np.array([8, 2, 1]) / 11, atol=0.06)


def test_what_is_too_large_is_not_pasted():
    images, boxes, labels = batch()
    boxes[labels >= 0] = [0.2, 0.2, 0.4, 0.71]
    got_images, _, got_labels = copy_paste.paste_objects(images, boxes, labels, tf.constant(WEIGHTS), numbers())
    np.testing.assert_array_equal(got_images, images)
    assert (got_labels[:, 5:].numpy() == -1).all()


def test_objects_that_others_reach_into_are_not_pasted():
    """Of four objects two share a third of the smaller one's box, and one lies alone; the last is padding."""
    boxes = np.array([[[0, 0, 0.2, 0.2], [0.15, 0, 0.3, 0.2], [0.6, 0.6, 0.7, 0.8], [0, 0, 0, 0]]], np.float32)
    boxes, labels = np.repeat(boxes, 8, 0), np.repeat([[0, 1, 2, -1]], 8, 0)
    images = np.zeros((8, HEIGHT, WIDTH, 1), np.uint8)
    weights, draws = tf.constant([1.0, 1.0, 0.01]), numbers(num_objects=4)
    _, _, pasted = copy_paste.paste_objects(images, boxes, labels, weights, draws)
    assert set(pasted[:, 4:].numpy().ravel()) - {-1} == {2}


def test_nothing_is_pasted_into_ignore_regions():
    images, boxes, labels = batch()
    everywhere, padding = np.tile(np.array([[[0, 0, 1, 1]]], np.float32), (8, 1, 1)), np.zeros((8, 1, 4), np.float32)
    args = images, boxes, labels, tf.constant(WEIGHTS), numbers()
    assert (copy_paste.paste_objects(*args, everywhere)[2][:, 5:].numpy() == -1).all()
    plain, padded = copy_paste.paste_objects(*args), copy_paste.paste_objects(*args, padding)
    np.testing.assert_array_equal(padded[0], plain[0])
    assert (padded[2][:, 5:].numpy() >= 0).any()


@pytest.mark.slow
def test_pasted_objects_have_their_boxes_on_them(records_dir):
    hits = pasted = 0
    for batch in take(pipeline.training_batches(records_dir, 'train', 8, 0, augment.Ranges(copy_paste=3)), 4):
        pasted += (batch['labels'][:, -3:] >= 0).sum()
        images = pipeline.augment_images({name: tf.constant(value) for name, value in batch.items()}, (96, 96)).numpy()
        of_pasted = {**batch, **{name: batch[name][:, -3:] for name in ('boxes', 'labels')}}
        hits += check_objects(of_pasted, images)
    assert pasted >= hits > 10
