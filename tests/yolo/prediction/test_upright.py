"""Photos that EXIF turns, from files to drawings and descriptions."""

import numpy as np
from conftest import turned_photo

from yolo.data import images
from yolo.prediction import photos


def test_turned_photos_are_read_upright(tmp_path):
    stored = np.full((40, 80, 3), 40, np.uint8)
    stored[:10, :30] = 220
    (tmp_path / 'a.jpg').write_bytes(turned_photo(stored, 6))
    problems: dict[str, str] = {}
    [photo] = photos.read_photos([f'{tmp_path}/a.jpg'], problems.__setitem__, lambda photo: photo)
    image = photo.pixels
    assert image.shape == (80, 40, 3)
    assert (image[:28, 32:] > 200).all()  # its left went up, its top to the right
    np.testing.assert_array_equal(images.decode_upright((tmp_path / 'a.jpg').read_bytes()), image)
