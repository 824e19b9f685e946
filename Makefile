# make demo: the main job on a small generated dataset. make test: lint, format, types and the quick tests.
# Both make .venv themselves; PYTHON is any Python 3.10 to 3.13.
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo
# A small network on small images, so that it learns from scratch within minutes on two cores.
DEMO_SIZE := 192
DEMO_TRAIN := --recipe=small-data --model=yolov2-tiny --width=0.25 --num_steps=1700 --learning_rate=4e-3 --weight_decay=0 \
	--nomulti_scale --jitter=0.1 --scale=0.85,1.2 --hue=0.02 --saturation=1.3 --exposure=1.3

.PHONY: demo test lint tests tests-slow tests-beam tests-opencv5 clean

.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,export]'
	touch $@

demo: .venv/installed
	@echo 'The demo draws 760 images of five shapes, converts them to records, trains a small detector from scratch'
	@echo '(3 to 4 minutes on two cores), and evaluates it on images that it has not seen. Everything goes to $(DEMO)/.'
	rm -rf $(DEMO)
	$(BIN)/yolo-preprocess shapes --out_dir=$(DEMO)/VOC
	$(BIN)/yolo-preprocess --voc_dir=$(DEMO)/VOC --splits=trainval,test --out_dir=$(DEMO)/data --image_size=$(DEMO_SIZE)
	$(BIN)/yolo-preprocess show --data_dir=$(DEMO)/data --split=test --out=$(DEMO)/records.png
	$(BIN)/yolo-train --data_dir=$(DEMO)/data --train_split=trainval --model_dir=$(DEMO)/run $(DEMO_TRAIN)
	$(BIN)/yolo predict --model_dir=$(DEMO)/run --images='$(DEMO)/VOC/JPEGImages/test_*.jpg' \
		--out_dir=$(DEMO)/predictions --sheet=12
	$(BIN)/yolo-eval --data_dir=$(DEMO)/data --split=test --model_dir=$(DEMO)/run --report_dir=$(DEMO)/report
	@echo
	@echo 'Worth opening:'
	@echo '  $(DEMO)/predictions/sheet.png    what the detector finds on 12 new images'
	@echo '  $(DEMO)/report/report.html       how good it is, and what keeps it from being better'
	@echo '  $(DEMO)/records.png              records: true boxes, grid, responsible cells and anchors'
	@echo '  $(DEMO)/data/report.html         what the data is like'
	@echo '  $(DEMO)/run/config.json          every setting of the training'

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tests: .venv/installed
	$(BIN)/python -m pytest -q -n 2 --dist=worksteal -m 'not slow and not realdata and not openvino'
	$(BIN)/python -m pytest -q -n 2 --dist=worksteal -m 'openvino and not slow and not realdata'

test: lint tests

# What takes long, and what needs the real datasets; skipped with a reason where these are missing.
tests-slow: .venv/installed
	$(BIN)/python -m pytest -q -n 2 --dist=worksteal -m '(slow or realdata) and not openvino'
	$(BIN)/python -m pytest -q -n 2 --dist=worksteal -m '(slow or realdata) and openvino'

# Apache Beam needs another protobuf, so its tests have an environment of their own. Pinned versions: Python 3.11.
.venv-beam/installed: setup.cfg pyproject.toml constraints-beam.txt
	$(PYTHON) -m venv .venv-beam
	.venv-beam/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-beam.txt \
		--editable '.[beam]' pytest
	touch $@

tests-beam: .venv-beam/installed
	.venv-beam/bin/python -m pytest -q tests/preprocess/test_beam.py

# OpenCV 5 takes the place of OpenCV 4, so it has an environment of its own; .venv exports what it reads there.
.venv-opencv5/installed: constraints-opencv5.txt
	$(PYTHON) -m venv .venv-opencv5
	.venv-opencv5/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-opencv5.txt \
		opencv-python-headless
	touch $@

tests-opencv5: .venv/installed .venv-opencv5/installed
	$(BIN)/python -m pytest -q tests/yolo/backends/test_opencv5.py \
		tests/examples/test_examples.py::test_the_program_for_opencv_runs_with_opencv_5

clean:
	rm -rf .venv .venv-beam .venv-opencv5 $(DEMO)
