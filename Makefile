# make demo: the main job on a small generated dataset. make test: lint, types and all tests.
# Both make .venv themselves; PYTHON is any Python 3.10 to 3.13.
PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo
# A small network on small images, so that it learns from nothing within minutes on two cores.
DEMO_SIZE := 192
DEMO_TRAIN := --recipe=small-data --model=yolov2-tiny --width=0.25 --num_steps=1700 --learning_rate=4e-3 --weight_decay=0 \
	--nomulti_scale --jitter=0.1 --scale=0.85,1.2 --hue=0.02 --saturation=1.3 --exposure=1.3
export TF_CPP_MIN_LOG_LEVEL = 3

.PHONY: demo test lint tests clean

.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

demo: .venv/installed
	rm -rf $(DEMO)
	$(BIN)/python -m preprocess shapes --out_dir=$(DEMO)/VOC
	$(BIN)/python -m preprocess --voc_dir=$(DEMO)/VOC --splits=trainval,test --out_dir=$(DEMO)/data \
		--image_size=$(DEMO_SIZE)
	$(BIN)/python -m preprocess show --data_dir=$(DEMO)/data --split=test --out=$(DEMO)/records.png
	$(BIN)/python train.py --data_dir=$(DEMO)/data --train_split=trainval --model_dir=$(DEMO)/run $(DEMO_TRAIN)
	$(BIN)/python -m yolo.predict --model_dir=$(DEMO)/run --images='$(DEMO)/VOC/JPEGImages/test_*.jpg' \
		--out_dir=$(DEMO)/predictions --sheet=12
	$(BIN)/python eval.py --data_dir=$(DEMO)/data --split=test --model_dir=$(DEMO)/run --report_dir=$(DEMO)/report

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tests: .venv/installed
	$(BIN)/python -m pytest -q -n 2 --dist=worksteal -m 'not realdata'

test: lint tests

clean:
	rm -rf .venv $(DEMO)
