// What is fetched and from which package: versions, sizes and hashes, and the platforms they are for. Nothing else in the product names them.
import { ThawError } from '../protocol/errors.js';
import type { WheelSpec } from './pipWheel.js';

/** Where TensorFlow's two shared libraries lie inside a platform's wheel, and how they are called beside the addon. */
export interface PlatformPins {
  readonly wheel: WheelSpec;
  /** Path inside the wheel and inside a runtime folder, with the unpacked size. */
  readonly libraries: readonly { readonly path: string; readonly bytes: number }[];
}

export const TENSORFLOW_VERSION = '2.21.0';

/** The addon's file name, in dist/ and beside the libraries. */
export const ADDON_FILE = 'tfjs_binding.node';

/** The folder inside a runtime folder that holds the libraries and the addon. */
export const LIBRARY_FOLDER = 'tensorflow';

/** The libraries that make a folder a TensorFlow runtime, on the platforms of `PLATFORMS`. */
export const LIBRARY_FILES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'] as const;

const PLATFORMS: Readonly<Record<string, PlatformPins | { readonly unsupported: string }>> = {
  'linux-x64': {
    wheel: {
      project: 'tensorflow-cpu',
      version: TENSORFLOW_VERSION,
      file: 'tensorflow_cpu-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl',
      sha256: 'dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb',
      bytes: 274_000_871,
      platforms: ['manylinux_2_27_x86_64'],
    },
    libraries: [
      { path: 'tensorflow/libtensorflow_cc.so.2', bytes: 788_086_608 },
      { path: 'tensorflow/libtensorflow_framework.so.2', bytes: 65_222_328 },
    ],
  },
  // The packages for these exist and hold the same libraries, but nobody has run Thaw on them: nothing is promised that wasn't tried.
  'linux-arm64': { unsupported: 'Linux on ARM is untested' },
  'darwin-arm64': { unsupported: 'macOS is untested' },
  'darwin-x64': { unsupported: 'TensorFlow 2.21 is not published for macOS on Intel' },
  'win32-x64': { unsupported: 'Windows is untested' },
};

/**
 * The pins of a platform.
 * @param platform as `linux-x64`
 * @throws ThawError `unsupported-platform`, with the reason in its sentence
 */
export function pinsFor(platform = `${process.platform}-${process.arch}`): PlatformPins {
  const entry = Object.hasOwn(PLATFORMS, platform) ? PLATFORMS[platform] : undefined;
  if (entry !== undefined && 'wheel' in entry) return entry;
  throw new ThawError(
    'engine',
    'unsupported-platform',
    `Thaw trains on 64-bit x86 Linux only for now; this is ${platform}${entry === undefined ? '' : `, and ${entry.unsupported}`}`,
    'Open the folder on a Linux x86-64 machine, in WSL, in a container or over SSH',
  );
}
