"""How many changed copies of images the search for leaks finds, how many others it takes for copies, and its time.

  python benchmarks/leak_search.py --images_dir=VOCdevkit/VOC2007/JPEGImages

Of every fifth image of the folder a changed copy is made, one kind of change after the other, and searched for among
all images. Pairs of two images of the folder itself are false, unless the folder has copies: look at them (`--show`
prints their names). Then the processor time: of a fingerprint, against reading, resizing and encoding the same image,
which is the least that preprocessing does; and of the search among `--num_hashes` made images that have the spectra of
photos. At the end the share of both in preprocessing that many images.
"""

import pathlib
import time

import cv2
import numpy as np
from absl import app, flags

from preprocess.leaks import fingerprint, near_duplicates
from yolo.data import images

FLAGS = flags.FLAGS
flags.DEFINE_string('images_dir', None, 'Folder of images.', required=True)
flags.DEFINE_integer('num_images', 5000, 'Images to take.')
flags.DEFINE_integer('num_hashes', 100_000, 'Made images, for the time of the search.')
flags.DEFINE_multi_integer('distance', [0, 4, 7, 10], '--leak_distance to measure.')
flags.DEFINE_bool('show', False, 'Print the pairs of images of the folder.')
SIZE = (416, 416)
EVERY = 5


def encode(image: np.ndarray, quality: int) -> np.ndarray:
    """The image after it was a JPEG."""
    return images.read(images.encode_bgr_jpeg(np.ascontiguousarray(image), quality))[0]


def cut(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image without 2 to 5 % of each side."""
    height, width = image.shape[:2]
    left, right = np.rint(rng.uniform(0.02, 0.05, 2) * width).astype(int).tolist()
    top, bottom = np.rint(rng.uniform(0.02, 0.05, 2) * height).astype(int).tolist()
    return image[top : height - bottom, left : width - right]


CHANGES = {
    'the same file': lambda image, rng: image,
    'JPEG of quality 20 to 90': lambda image, rng: encode(image, int(rng.integers(20, 91))),
    'half the size': lambda image, rng: encode(cv2.resize(image, None, fx=0.5, fy=0.5), 85),
    'brighter by 20 %': lambda image, rng: encode(np.clip(image * 1.2 + 10, 0, 255).astype(np.uint8), 90),
    'mirrored': lambda image, rng: encode(image[:, ::-1], 90),
    'cropped by 2 to 5 % a side': lambda image, rng: encode(cut(image, rng), 90),
    'cropped and mirrored': lambda image, rng: encode(cut(image, rng)[:, ::-1], 90),
}


def read_image(path: pathlib.Path) -> np.ndarray | None:
    """The image (H, W, 3) uint8 BGR of a file; None if it cannot be read."""
    try:
        return images.read(path.read_bytes())[0]
    except ValueError:
        return None


def describe(image: np.ndarray) -> str:
    """Its fingerprint, as preprocessing makes it."""
    return fingerprint.of_image(images.resize(image, SIZE))


def read_folder(paths: list[pathlib.Path]) -> tuple[list[str], dict[str, list[str]], list[int]]:
    """The fingerprints of all images, of the changed ones of every fifth by kind, and the indices of these."""
    rng = np.random.default_rng(0)
    texts: list[str] = []
    changed: dict[str, list[str]] = {kind: [] for kind in CHANGES}
    chosen = []
    for path in paths:
        image = read_image(path)
        assert image is not None, path
        if len(texts) % EVERY == 0:
            chosen.append(len(texts))
            for kind, change in CHANGES.items():
                changed[kind].append(describe(change(image, rng)))
        texts.append(describe(image))
    return texts, changed, chosen


def measure_recall(
    texts: list[str], changed: dict[str, list[str]], chosen: list[int], paths: list[pathlib.Path]
) -> None:
    """Prints a row for each kind of change and distance, then the pairs of the folder itself."""
    whole = fingerprint.unpack(texts)
    print(f'{len(texts)} images, {len(chosen)} changed ones of each kind; found at --leak_distance')
    print(f'{"":30}' + ''.join(f'{bits:>10}' for bits in FLAGS.distance))
    for kind, copies in changed.items():
        both = np.concatenate(
            [whole, fingerprint.unpack([texts[0] if fingerprint.is_flat(text) else text for text in copies])]
        )
        shares = []
        for bits in FLAGS.distance:
            pairs = near_duplicates.find(both, bits)
            partners = np.array(chosen)[np.maximum(pairs.second - len(whole), 0)]
            is_copy = (pairs.second >= len(whole)) & (pairs.first == partners)
            shares.append(is_copy.sum() / len(chosen))
        print(f'{kind:30}' + ''.join(f'{share:>10.4f}' for share in shares))
    for bits in FLAGS.distance:
        pairs = near_duplicates.find(whole, bits)
        number = len(whole) * (len(whole) - 1) // 2
        print(f'distance {bits}: {len(pairs)} pairs of the folder itself are alike, of {number:,}')
        if FLAGS.show:
            for i, j, similarity in zip(pairs.first, pairs.second, pairs.similarity, strict=True):
                print(f'  {similarity:.3f} {paths[i].name} {paths[j].name}')


def mix(whole: np.ndarray, number: int) -> np.ndarray:
    """Fingerprints (number, 16, 16) of made images: sums of two with random signs and shuffled columns of signs."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, len(whole), (2, number))
    signs = rng.choice([-1, 1], (2, number, fingerprint.NUMBER, 1)).astype(np.float32)
    return fingerprint.normalize(whole[first] * signs[0] + whole[second] * signs[1])


def measure_time(paths: list[pathlib.Path], texts: list[str]) -> None:
    """Prints the processor time of fingerprints and of the search, and their share in preprocessing."""
    files = [path.read_bytes() for path in paths[:300]]
    start = time.process_time()
    resized = [images.resize(images.read(data)[0], SIZE) for data in files]
    for image in resized:
        images.encode_stored(image, 'jpeg', 95)
    least = (time.process_time() - start) / len(files)
    start = time.process_time()
    for image in resized:
        fingerprint.of_image(image)
    each = (time.process_time() - start) / len(files)
    print(f'an image: {1000 * least:.2f} ms to read, resize and encode, {1000 * each:.2f} ms for its fingerprint')
    made = mix(fingerprint.unpack(texts), FLAGS.num_hashes)
    for bits in FLAGS.distance:
        start = time.process_time()
        pairs = near_duplicates.find(made, bits)
        seconds = time.process_time() - start
        share = (each * len(made) + seconds) / (least * len(made))
        print(
            f'distance {bits}: search among {len(made):,} images {seconds:.1f} s ({len(pairs)} pairs); fingerprints '
            f'and search are {100 * share:.1f} % of reading, resizing and encoding them'
        )


def main(_) -> None:
    cv2.setNumThreads(1)
    paths = sorted(path for path in pathlib.Path(FLAGS.images_dir).iterdir() if path.suffix.lower() in ('.jpg', '.png'))
    paths = [
        path for path in paths if (image := read_image(path)) is not None and not fingerprint.is_flat(describe(image))
    ][: FLAGS.num_images]
    texts, changed, chosen = read_folder(paths)
    measure_recall(texts, changed, chosen, paths)
    measure_time(paths, texts)


if __name__ == '__main__':
    app.run(main)
