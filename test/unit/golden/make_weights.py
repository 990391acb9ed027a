"""Writes the checkpoints that test/unit/pytorchFile.test.ts reads, by PyTorch itself, beside what is in them.

    pip install torch safetensors numpy
    python make_weights.py FOLDER

- checkpoint.pth, checkpointLegacy.pth: the same tensors in the zip and in the legacy layout, of every type, with views, strides and shared storages;
- checkpoint.safetensors: the same, plainly; checkpointFloat32.safetensors: what PyTorch makes of the floating-point ones as float32;
- training.pth: what a training script saves, the state dict of a DataParallel model among epoch, optimizer and other plain values;
- parameters.pth: a module's named parameters, which are torch.nn.Parameter;
- module.safetensors: the tensors of both;
- wholeModule.pth: a pickled module, which names classes and must be refused;
- unchecked.pth: checkpoint.pth without the archive's checksums, so that damage reaches the reader behind them.
"""
import argparse
import pathlib

import safetensors.torch
import torch
from torch import nn


def plain(state):
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}


def save_types(folder):
    generator = torch.Generator().manual_seed(0)
    base = torch.randn((4, 5, 3), generator=generator)
    # Subnormal, largest, signed zero, infinity; a half precision that is converted wrongly shows in these.
    special = torch.tensor([0.0, -0.0, 1.0, -1.5, 6e-8, -6.1e-5, 65504.0, float("inf"), float("-inf"), 1 / 3])
    doubles = torch.randn(4, generator=generator, dtype=torch.float64)
    half_base = torch.randn((3, 4), generator=generator).half()
    state = {
        "float32": torch.randn((2, 3), generator=generator),
        "float16": special.half(),
        "bfloat16": special.bfloat16(),
        "float64": doubles,
        "int64": torch.tensor([-(2**63), 2**63 - 1, 7]),
        "int32": torch.tensor([-1, 2**31 - 1], dtype=torch.int32),
        "int16": torch.tensor([-2, 3], dtype=torch.int16),
        "int8": torch.tensor([-128, 127], dtype=torch.int8),
        "uint8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(7),
        "empty": torch.zeros((0, 4)),
        "shared": base,
        "transposed": base.permute(2, 0, 1),
        "slice": base[1:3, ::2],
        "offset": base.view(-1)[7:31].view(2, 12),
        "halfTransposed": half_base.t(),
        "halfRow": half_base[1],
        "doubleStrided": doubles[::2],
        "longTransposed": torch.arange(6).view(2, 3).t(),
        "channelsLast": torch.randn((2, 3, 4, 2), generator=generator).to(memory_format=torch.channels_last),
        "name with ünïcode": torch.ones(1),
    }
    torch.save(state, folder / "checkpoint.pth")
    torch.save(state, folder / "checkpointLegacy.pth", _use_new_zipfile_serialization=False)
    torch.serialization.set_crc32_options(False)
    torch.save(state, folder / "unchecked.pth")
    torch.serialization.set_crc32_options(True)
    safetensors.torch.save_file(plain(state), folder / "checkpoint.safetensors")
    floats = {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
    safetensors.torch.save_file({name: tensor.float() for name, tensor in plain(floats).items()}, folder / "checkpointFloat32.safetensors")


def save_modules(folder):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(2, 1, 4, 4)).sum().backward()
    optimizer.step()
    training = {
        "epoch": 3, "arch": "tiny", "best": 0.75, "done": False, "note": None, "scores": [0.5, 0.75], "size": (4, 4),
        "state_dict": nn.DataParallel(model).state_dict(), "optimizer": optimizer.state_dict(),
    }
    torch.save(training, folder / "training.pth")
    torch.save(dict(model.named_parameters()), folder / "parameters.pth")
    safetensors.torch.save_file(plain(model.state_dict()), folder / "module.safetensors")
    torch.save(model, folder / "wholeModule.pth")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=pathlib.Path)
    parsed = arguments.parse_args()
    save_types(parsed.folder)
    save_modules(parsed.folder)
