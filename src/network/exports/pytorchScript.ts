// predict.py: a short script that loads the exported weights strictly into PyTorch's network and classifies images.
import { ThawError } from '../../protocol/errors.js';
import type { Graph } from '../graph.js';

/** Graphs whose architecture torchvision has, by its name there. */
const TORCHVISION = new Set(['resnet18', 'resnet34', 'resnet50', 'mobilenet_v2', 'squeezenet1_1']);

/**
 * The script for a graph. It lies beside `model.safetensors` and `labels.json`.
 * @throws ThawError `not-exportable` for a network that is neither torchvision's nor an EfficientNet-Lite
 */
export function pytorchScript(graph: Graph): string {
  const torchvision = TORCHVISION.has(graph.name);
  const definition = torchvision ? [] : [`\n${efficientNetLiteDefinition(graph)}\n`];
  const make = torchvision ? `torchvision.models.${graph.name}(weights=None, num_classes=classes)` : 'EfficientNetLite(classes)';
  const { colour, mean, std, resizeShortSide, crop, kernel } = graph.preprocessing;
  const vector = (values: readonly number[]): string => `[${values.map((value) => String(value)).join(', ')}]`;
  return `"""Classifies images: python predict.py IMAGE...

Needs: pip install torch${torchvision ? ' torchvision' : ''} safetensors pillow numpy
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
${torchvision ? 'import torchvision\n' : 'import torch.nn.functional as F\n'}from PIL import Image, ImageOps
from safetensors.torch import load_file
${torchvision ? '' : 'from torch import nn\n'}
HERE = Path(__file__).resolve().parent
SHORT_SIDE = ${String(resizeShortSide)}
SIZE = ${String(crop)}
# Of red, green and blue, on the scale 0 to 255.
MEAN = ${vector(mean)}
STD = ${vector(std)}
${definition.join('\n')}

def make_network(classes):
    return ${make}


def load_network():
    """The network in evaluation mode, and the names of its classes."""
    labels = json.loads((HERE / "labels.json").read_text(encoding="utf-8"))
    network = make_network(len(labels))
    network.load_state_dict(load_file(HERE / "model.safetensors"), strict=True)
    return network.eval(), labels


def load_pixels(file):
    """An 8-bit image as the network sees it${colour === 'gray' ? ', gray' : ''}: [SIZE, SIZE, 3] of uint8."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    width, height = image.size
    scaled = (SHORT_SIDE, SHORT_SIDE * height // width) if width <= height else (SHORT_SIDE * width // height, SHORT_SIDE)
    image = image.resize(scaled, Image.Resampling.${kernel === 'cubic' ? 'BICUBIC' : 'BILINEAR'})
    left, top = (round((length - SIZE) / 2) for length in scaled)
    return np.asarray(image.crop((left, top, left + SIZE, top + SIZE))${colour === 'gray' ? '.convert("L").convert("RGB")' : ''})


@torch.no_grad()
def classify(network, pixels):
    """Probabilities [images, classes] of pixels [images, SIZE, SIZE, 3] of uint8."""
    x = (torch.tensor(np.asarray(pixels), dtype=torch.float32) - torch.tensor(MEAN)) / torch.tensor(STD)
    return torch.softmax(network(x.permute(0, 3, 1, 2).contiguous()), 1)


def main():
    network, labels = load_network()
    for file in sys.argv[1:]:
        best = classify(network, load_pixels(file)[None])[0].sort(descending=True)
        named = [f"{labels[index]} {value:.3f}" for value, index in zip(best.values[:5].tolist(), best.indices[:5].tolist())]
        print(f"{file}: {', '.join(named)}")


if __name__ == "__main__":
    main()
`;
}

/** A plain definition of the family, since torchvision has none; its numbers are the graph's. */
function efficientNetLiteDefinition(graph: Graph): string {
  const node = (name: string): Graph['nodes'][number] | undefined => graph.nodes.find((each) => each.name === name);
  const [stem, last, norm] = [node('_conv_stem'), node('_conv_head'), node('_bn0')];
  if (stem?.op !== 'conv' || last?.op !== 'conv' || norm?.op !== 'batchNorm') {
    throw new ThawError('run', 'not-exportable', `PyTorch has no network ${graph.name}`, 'Export to another format');
  }
  const blocks: string[] = [];
  for (let index = 0; ; index++) {
    const prefix = `_blocks.${String(index)}`;
    const [filter, project, expand] = [node(`${prefix}._depthwise_conv`), node(`${prefix}._project_conv`), node(`${prefix}._expand_conv`)];
    if (filter?.op !== 'depthwiseConv' || project?.op !== 'conv') break;
    const inputs = expand?.op === 'conv' ? expand.inputChannels : filter.channels;
    blocks.push(`(${[inputs, filter.channels, project.outputChannels, filter.kernel, filter.stride].map(String).join(', ')})`);
  }
  const rows = Array.from({ length: Math.ceil(blocks.length / 4) }, (_, row) => `    ${blocks.slice(row * 4, row * 4 + 4).join(', ')},`);
  return `# EfficientNet-Lite. Of each block: input, inner and output channels, kernel, stride.
BLOCKS = [
${rows.join('\n')}
]


class SameConv(nn.Conv2d):
    """TensorFlow's padding: the output is ceil(input / stride), an odd remainder is padded at the bottom right."""

    def __init__(self, inputs, outputs, kernel, stride=1, groups=1):
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x):
        rows, columns = (max(0, (-(-size // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - size) for size in x.shape[2:])
        return super().forward(F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)))


def norm(channels):
    return nn.BatchNorm2d(channels, eps=${String(norm.epsilon)}, momentum=${String(norm.momentum)})


class Block(nn.Module):
    def __init__(self, inputs, wide, outputs, kernel, stride):
        super().__init__()
        self.expands, self.adds = wide != inputs, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(inputs, wide, 1), norm(wide)
        self._depthwise_conv, self._bn1 = SameConv(wide, wide, kernel, stride, groups=wide), norm(wide)
        self._project_conv, self._bn2 = SameConv(wide, outputs, 1), norm(outputs)

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, ${String(stem.outputChannels)}, ${String(stem.kernel)}, ${String(stem.stride)}), norm(${String(stem.outputChannels)})
        self._blocks = nn.ModuleList(Block(*block) for block in BLOCKS)
        self._conv_head, self._bn1 = SameConv(${String(last.inputChannels)}, ${String(last.outputChannels)}, 1), norm(${String(last.outputChannels)})
        self._fc = nn.Linear(${String(last.outputChannels)}, classes)

    def forward(self, x):
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = F.relu6(self._bn1(self._conv_head(x)))
        return self._fc(x.mean((2, 3)))`;
}
