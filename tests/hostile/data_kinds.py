"""Damaged annotations, images, records, JSON, lists and evaluations, each read by the code that reads it in a run."""

import pathlib
import struct
import zipfile
import zlib

import cv2
import numpy as np
from case import Case, FaultError, SilentError, captured
from mutations import ODD_TEXTS, choose, damage, damage_json, replace_by_something_else

from preprocess import label_rules, resume, scan, shards, verify
from preprocess.settings import Settings
from yolo.data import labels, records, tfrecord, voc_folder
from yolo.detection import best_f1
from yolo.evaluation import annotations, devkit_files, result
from yolo.prediction import photos
from yolo.training.config_file import read_config

CLASSES = ('circle', 'ring', 'square', 'star', 'triangle')
LIBRARIES = ('Corrupt JPEG', 'Premature end', 'Unsupported marker', 'Invalid', 'libpng', '[ WARN', '[ERROR', 'TIFF')
RARE = 0.03  # share of the cases in which the file is no file, and in which the whole command is run


def xml(case: Case) -> None:
    """One damaged XML of a VOC folder, preprocessed; and evaluated, with files of detections."""
    voc = case.copy('VOC')
    path = voc / 'Annotations' / f'trainval_{case.rng.integers(1, 7):05d}.xml'
    if case.rng.random() < RARE:
        replace_by_something_else(case.rng, path)
    else:
        case.replace(path, _damage_xml(case.rng, path.read_bytes()))
    if case.rng.random() < RARE:
        case.call('preprocess', *_preprocess_flags(case, voc))
    _preprocess(case, voc, path.stem)
    listed = voc / 'ImageSets/Main/trainval.txt'
    annotations.read_truth(voc_folder.Source(str(voc / 'Annotations'), str(voc / 'JPEGImages')), str(listed))


def _preprocess_flags(case: Case, voc: pathlib.Path) -> list[str]:
    return [f'--voc_dir={voc}', f'--out_dir={case.folder}/out', '--image_size=64', '--workers=1']


def _preprocess(case: Case, voc: pathlib.Path, image_id: str) -> list[str]:
    """What preprocessing does with one image and its annotation: the problems that it reports."""
    return preprocess_image(case, voc_folder.Source(str(voc / 'Annotations'), str(voc / 'JPEGImages')), image_id)


def preprocess_image(case: Case, source: voc_folder.Source, image_id: str) -> list[str]:
    """The same of any source."""
    settings = Settings(source, {}, out_dir=str(case.folder), image_size=(64, 64), workers=1)
    cache, classes = str(case.folder / 'cache'), None if case.rng.integers(2) else frozenset(CLASSES)
    found = scan.scan(scan.ScanJob(source, (image_id,), classes, (64, 64), 'stretch', cache))
    names = tuple(sorted(found.counts)) or CLASSES
    anchors = np.array([[0.5, 0.5], [1.0, 1.5]])
    size = settings.image_size
    _, summary = shards.write_shard(shards.Shard(settings, names, anchors, 'a', 0, 1, (image_id,), cache, size))
    return [problem.reason for problem in summary.problems]


def _damage_xml(rng: np.random.Generator, data: bytes) -> bytes:
    text, kind = data.decode(), int(rng.integers(10))
    lines = text.splitlines(keepends=True)
    line = int(rng.integers(len(lines)))
    odd = choose(rng, ODD_TEXTS)
    deep = int(10 ** rng.uniform(2, 5.5))
    if kind < 3:
        return damage(rng, data)
    if kind == 3:  # an element twice, or not at all
        lines[line : line + 1] = [lines[line]] * int(rng.choice([0, 2, 3]))
    elif kind in (4, 5):  # another text
        start, end = lines[line].find('>') + 1, lines[line].rfind('<')
        lines[line] = lines[line][:start] + odd + lines[line][max(start, end) :]
    elif kind == 6:
        lines[line] = choose(rng, ['<a>' * deep + '</a>' * deep, '<a>' * deep, f'<a b="{"x" * deep}"/>', '<!--' + odd])
    elif kind == 7:
        first = '<!DOCTYPE a [<!ENTITY b "' + 'c' * deep + '">' + '<!ENTITY d "&b;&b;&b;">' * 3 + ']>'
        lines = [choose(rng, [first, '<!DOCTYPE a SYSTEM "/etc/passwd">', '<?xml-stylesheet?>', '\ufeff']), *lines]
        lines[-2] += '&d;' * int(rng.integers(3))
    elif kind == 8:
        return _encode(rng, choose(rng, ODD_TEXTS) + text)
    else:
        start = next((i for i, each in enumerate(lines) if '<object>' in each), 0)
        lines[start:-1] = lines[start:-1] * int(rng.integers(0, 300))
    return ''.join(lines).encode(errors='surrogatepass')


def _encode(rng: np.random.Generator, text: str) -> bytes:
    """An XML that says one encoding and may have another."""
    names = ('utf-8', 'utf-16', 'utf-16-le', 'latin-1', 'gbk', 'shift-jis', 'big5', 'euc-jp', 'utf-7', 'cp037', 'idna')
    said, used = choose(rng, (*names, 'rot13', 'none', 'hex', 'utf-32')), choose(rng, names[:10])
    return f'<?xml version="1.0" encoding="{said}"?>\n{text}'.encode(used, 'ignore')


def images(case: Case) -> None:
    """A damaged image, preprocessed or given to prediction; silent: its decoder warns, or a checksum of it fails."""
    name = choose(case.rng, ['plain.jpg'] * 4 + ['progressive.jpg', 'restart.jpg'] * 2 + ['plain.png'] * 4)
    name = choose(case.rng, ['plain.bmp', 'plain.webp', 'plain.tif']) if case.rng.random() < 0.1 else name
    data = (case.source / 'images' / name).read_bytes()
    data = _damage_image(case.rng, data)
    suffix = pathlib.Path(name).suffix
    if suffix in ('.jpg', '.png') and case.rng.random() < 0.8:
        voc = case.copy('VOC')
        (voc / 'JPEGImages/trainval_00001.jpg').unlink()
        path = voc / f'JPEGImages/trainval_00001{suffix}'
        path.write_bytes(data)
        height, width = cv2.imread(str(case.source / 'images' / name)).shape[:2]
        size = f'<size><width>{width}</width><height>{height}</height></size>'
        # Without objects there is nothing else that could be said of this image.
        case.replace(voc / 'Annotations/trainval_00001.xml', f'<annotation>{size}</annotation>'.encode())
        if case.rng.random() < RARE:
            case.call('preprocess', *_preprocess_flags(case, voc))
        with captured() as output:
            reasons = _preprocess(case, voc, 'trainval_00001')
            said = [reason for reason in reasons if not reason.startswith('the annotation says')]  # no word of damage
            printed = output()
    else:
        path = case.folder / name
        path.write_bytes(data)
        problems: dict[str, str] = {}
        with captured() as output:
            list(photos.read_photos([str(path)], problems.__setitem__, lambda photo: photo))
            printed = output()
        said = [*problems.values(), *(line for line in printed.splitlines() if not line.startswith(LIBRARIES))]
    reason = '' if said else _damage_of(data)
    if reason:
        raise SilentError(f'{name}: {reason}')
    if any(line.startswith(LIBRARIES) for line in printed.splitlines()):
        raise FaultError(f'{name}: a library printed {printed[:300]!r}')


def _damage_image(rng: np.random.Generator, data: bytes) -> bytes:
    if rng.random() < 0.1:  # other dimensions, with a good checksum
        side = struct.pack('>II', *(int(2 ** rng.uniform(0, 31)) for _ in range(2)))
        if data[:4] == b'\x89PNG':
            head = b'IHDR' + side + data[24:29]
            return data[:12] + head + struct.pack('>I', zlib.crc32(head)) + data[33:]
        at = next((data.find(marker) for marker in (b'\xff\xc0', b'\xff\xc2') if marker in data), -1)
        if at > 0:
            return data[: at + 5] + rng.bytes(4) + data[at + 9 :]
    kind = rng.random()
    if data[:2] == b'\xff\xd8' and kind < 0.5:  # behind the header, and with its end marker
        scan_start = data.rfind(b'\xff\xda') if kind < 0.2 else data.find(b'\xff\xda')
        return damage(rng, data[:-2], scan_start + 14) + data[-2:]
    return damage(rng, data, int(rng.choice([0, 0, 200])))


def _damage_of(data: bytes) -> str:
    """What the format's own means say of an image's damage: libjpeg's warnings, PNG's checksums; '' for nothing."""
    if data[:2] == b'\xff\xd8':
        with captured() as output:
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            return output().strip()
    return _png_damage(data) if data[:8] == b'\x89PNG\r\n\x1a\n' else ''


def _png_damage(data: bytes) -> str:
    at, stream = 8, b''
    while at + 12 <= len(data):
        length, kind = struct.unpack('>I', data[at : at + 4])[0], data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data) or struct.pack('>I', zlib.crc32(data[at + 4 : end - 4])) != data[end - 4 : end]:
            return f'the checksum of the chunk {kind!r} fails'
        stream += data[at + 8 : end - 4] if kind == b'IDAT' else b''
        if kind == b'IEND':
            return '' if zlib.decompressobj().decompress(stream) else 'no pixels'
        at = end
    return 'it has no end'


def shard(case: Case) -> None:
    """A damaged file of records: checked, drawn, trained on and evaluated."""
    data = case.copy('records')
    path = choose(case.rng, sorted(data.glob('*.tfrecord-*')))
    split, original = path.name.split('.')[0], path.read_bytes()
    if case.rng.random() < RARE:
        replace_by_something_else(case.rng, path)
    else:
        case.replace(path, _damage_records(case.rng, original))
        if path.read_bytes() == original:
            return
    description, manifest = records.read_description(str(data)), records.read_manifest(str(data))
    assert manifest is not None
    how = case.rng.random()
    if how < 0.7:
        _, problems = verify.verify_shard(description, manifest.shards[path.name], str(path), description.image_size)
        if not problems:
            raise SilentError(f'verify says nothing of {path.name}')
    elif how < 0.9 or not path.is_file():
        case.call('show', f'--data_dir={data}', f'--split={split}', f'--out={case.folder}/sheet.png', '--num=9')
    else:
        _read_batches(path, data, split, training=how < 0.94)


def _damage_records(rng: np.random.Generator, data: bytes) -> bytes:
    """Damage anywhere; or in a record whose checksums are good again, in a file as long as before."""
    if rng.random() < 0.5:
        return damage(rng, data)
    serialized = list(_unframed(data))
    number = int(rng.integers(len(serialized)))
    changed = damage(rng, serialized[number])
    serialized[number] = changed[: len(serialized[number])].ljust(len(serialized[number]), b'\0')
    return b''.join(map(tfrecord.frame, serialized))


def _unframed(data: bytes) -> list[bytes]:
    at, parts = 0, []
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], 'little')
        parts.append(data[at + 12 : at + 12 + length])
        at += 16 + length
    return parts


def _read_batches(path: pathlib.Path, data: pathlib.Path, split: str, training: bool) -> None:
    """Reads a split as training or evaluation does; SilentError if all is read though a checksum fails."""
    from yolo.data import pipeline

    if training:
        num = records.read_description(str(data)).split(split).num_images
        for _ in pipeline.training_batches(str(data), split, 1, 0).take(num):
            pass
    else:
        for _ in pipeline.evaluation_batches(str(data), split, 2):
            pass
    try:
        with open(path, 'rb') as file:
            list(tfrecord.unframe(file, str(path)))
    except ValueError as error:
        raise SilentError(f'read without an error: {error}') from error


def json_files(case: Case) -> None:
    """One of the JSON files of a project, damaged, and read by what needs it."""
    name = choose(
        case.rng, ['dataset.json', 'manifest.json', 'config.json', 'model.json', 'run.json', 'note', 'metrics']
    )
    if name in ('dataset.json', 'manifest.json'):
        _damaged(case, case.copy('records') / name)
        _read_folder(case)
    elif name == 'note':
        _read_note(case)
    elif name == 'metrics':
        report = case.copy('report')
        _damaged(case, report / 'metrics.json')
        result.read(str(report / 'metrics.json'))
        classes = records.read_description(str(case.source / 'records')).classes
        best_f1.class_thresholds(str(report / 'metrics.json'), classes, 0.25)
    else:
        run = case.copy('run')
        _damaged(case, run / name)
        _read_run(case, run, name)


def _damaged(case: Case, path: pathlib.Path) -> None:
    if case.rng.random() < RARE:
        replace_by_something_else(case.rng, path)
    else:
        case.replace(path, damage_json(case.rng, path.read_bytes()))


def _read_folder(case: Case) -> None:
    """Reads a folder of records as every command begins, and then as one of them."""
    data = str(case.folder / 'records')
    how, split = case.rng.random(), choose(case.rng, ['trainval', 'test'])
    if how < 0.6:
        description = records.read_description(data)
        records.shard_paths(data, split, description)
        records.data_checksum(data)
    elif how < 0.8:
        case.call('show', f'--data_dir={data}', f'--split={split}', f'--out={case.folder}/sheet.png', '--num=3')
    elif how < 0.9:
        case.call('verify', f'--data_dir={data}', '--workers=1')
    else:
        from yolo.data import pipeline

        make = pipeline.training_batches if how < 0.95 else pipeline.evaluation_batches
        next(iter(make(data, split, 2, 0) if how < 0.95 else make(data, split, 2)))


def _read_note(case: Case) -> None:
    """A note of a killed run of preprocessing."""
    data = case.copy('records')
    path = data / 'trainval.tfrecord-00000-of-00002'
    manifest = records.read_manifest(str(data))
    assert manifest is not None
    summary = resume.Summary(num_images=3)
    summary.take_image(['ring', 'star'], np.array([True, False]))
    resume.note(str(path), manifest.shards[path.name], summary)
    note = data / 'progress' / f'{path.name}.json'
    _damaged(case, note)
    resume.finished(str(path))


def _read_run(case: Case, run: pathlib.Path, name: str) -> None:
    from yolo.models import model_folder

    if name == 'model.json':
        model_folder.read_info(str(run))
    elif name == 'config.json':
        read_config(str(run))
    else:
        _begin_again(case, run)


def _begin_again(case: Case, run: pathlib.Path) -> None:
    """Goes on with a run's run.json."""
    import tensorflow as tf

    from yolo.training.run_folder import RunFile

    config = read_config(str(case.source / 'run'))
    file = RunFile(config, tf.distribute.OneDeviceStrategy('/cpu:0'), is_chief=True)
    file.path = str(run / 'run.json')
    file.begin(first_step=4)
    file.end('finished')


def npz(case: Case) -> None:
    """A damaged detections.npz; silent: a checksum of the zip fails, or numpy does not read it."""
    report = case.copy('report')
    path = report / result.DETECTIONS_FILE
    how = case.rng.random()
    if how < RARE:
        replace_by_something_else(case.rng, path)
    elif how < 0.5:
        case.replace(path, damage(case.rng, path.read_bytes()))
    else:
        _other_arrays(case, path)
    result.read(str(report))
    try:
        with zipfile.ZipFile(path) as file:
            bad = file.testzip()
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise SilentError(f'read, but {error}') from error
    if bad:
        raise SilentError(f'read, but the checksum of {bad} fails')


def _other_arrays(case: Case, path: pathlib.Path) -> None:
    """Arrays of other types, shapes, names and numbers."""
    rng = case.rng
    with np.load(path) as stored:
        arrays = dict(stored)
    name = choose(rng, sorted(arrays))
    array = arrays[name]
    odd = [
        array[:-1],
        array[:0],
        array.reshape(-1),
        array[None],
        array.astype(str),
        array.astype(object),
        array == array.reshape(-1)[:1],
    ]
    odd += [
        np.array(1),
        np.array('a'),
        np.full(array.shape, np.nan),
        np.full(array.shape, 2**62),
        -np.ones(array.shape),
    ]
    odd += [np.zeros((len(array), 5)), np.array([None] * len(array)), np.full(array.shape, np.inf, np.float16)]
    odd += [array.astype('datetime64[s]') if array.dtype.kind in 'iu' else array.astype(bytes), np.zeros(0, 'V8')]
    arrays[name] = choose(rng, odd)
    if rng.random() < 0.2:
        arrays[choose(rng, ODD_TEXTS[1:-1])] = array
    if rng.random() < 0.2:
        del arrays[name]
    path.unlink()
    with zipfile.ZipFile(path, 'w') as file:
        for key, value in arrays.items():
            with file.open(key.replace('\0', '') + '.npy', 'w') as part:
                np.lib.format.write_array(part, np.asarray(value), allow_pickle=True)


def lists(case: Case) -> None:
    """Damaged lists of images, class names, label maps and files of detections."""
    voc = case.copy('VOC')
    how = int(case.rng.integers(4))
    if how == 0:
        path = _damaged_text(case, voc / 'ImageSets/Main/test.txt')
        ids = voc_folder.read_split(str(path))
        for image_id in ids[:3]:
            _preprocess(case, voc, image_id)
    elif how == 1 and case.rng.integers(2):
        path = _damaged_text(case, case.copy('label_map.txt'))
        label_rules.read_map(str(path))
    elif how == 1:
        path = _damaged_text(case, case.copy('labels.txt'))
        labels.read(str(path))
    elif how == 2:
        files = case.copy('devkit')
        _damaged_text(case, choose(case.rng, sorted(files.iterdir())))
        devkit_files.read_detections(str(files), 'test', CLASSES, [f'test_{i:05d}' for i in range(1, 5)])
    else:
        _damaged_text(case, voc / 'ImageSets/Main/trainval.txt')
        case.call('preprocess', *_preprocess_flags(case, voc))


def _damaged_text(case: Case, path: pathlib.Path) -> pathlib.Path:
    data = path.read_bytes()
    how = case.rng.random()
    if how < RARE:
        replace_by_something_else(case.rng, path)
    elif how < 0.5:
        case.replace(path, damage(case.rng, data) if data else b'\xff')
    else:
        words = data.decode().split(' ' if b' ' in data else '\n')
        for _ in range(int(case.rng.integers(1, 4))):
            words[int(case.rng.integers(len(words)))] = choose(case.rng, ODD_TEXTS)
        text = (' ' if b' ' in data else choose(case.rng, ['\n', '\r\n', '\r', '\n\n', '\x85', '\u2028'])).join(words)
        case.replace(path, text.encode(choose(case.rng, ['utf-8', 'utf-8-sig', 'utf-16']), 'surrogatepass'))
    return path
