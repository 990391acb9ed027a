"""Writes scikit-learn's digits, 8 x 8, enlarged to 128 x 128, into FOLDER/train and FOLDER/val, 500 each, one subfolder a class.
They are as unlike ImageNet's photographs as images get. Needs scikit-learn and Pillow:  python bench/digits.py FOLDER
"""
import pathlib
import sys

import numpy
from PIL import Image
from sklearn.datasets import load_digits

digits = load_digits()
order = numpy.random.RandomState(0).permutation(len(digits.images))
for place, index in enumerate(order[:1000]):
    folder = pathlib.Path(sys.argv[1], "train" if place < 500 else "val", str(digits.target[index]))
    folder.mkdir(parents=True, exist_ok=True)
    pixels = (digits.images[index] * 255 / 16).astype("uint8")
    Image.fromarray(pixels).convert("RGB").resize((128, 128), Image.BICUBIC).save(folder / f"{index}.png")
