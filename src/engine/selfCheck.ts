// Does the engine compute what it should? One convolution, compared with the same sum written out in plain JavaScript.
import { ThawError } from '../protocol/errors.js';
import type { Device } from '../protocol/run.js';
import { loadEngine, type LoadOptions } from './load.js';

export interface EngineCheck {
  readonly tensorflow: string;
  readonly device: Device;
  /** Largest difference from the plain sum, relative to the largest value. */
  readonly error: number;
}

const HEIGHT = 9;
const WIDTH = 7;
const INPUTS = 3;
const OUTPUTS = 8;
const KERNEL = 3;
/** Relative to the largest value. A GPU multiplies in TF32 (10-bit mantissas) where it can, a wrong library is off by about 1. */
const TOLERANCE = { cpu: 1e-4, gpu: 1e-2 } as const;

/**
 * Loads the engine and runs one convolution (padding `valid`, stride 1) on it.
 * @throws ThawError of kind `engine`: what `loadEngine` throws, or `engine-wrong` when the numbers differ
 */
export async function checkEngine(options: LoadOptions = {}): Promise<EngineCheck> {
  const { tf, device, tensorflowVersion } = await loadEngine(options);
  // Values that differ at every place and stay near 1, so that an exchange of axes shows.
  const image = Float32Array.from({ length: HEIGHT * WIDTH * INPUTS }, (_, index) => Math.sin(index * 0.37));
  const filter = Float32Array.from({ length: KERNEL * KERNEL * INPUTS * OUTPUTS }, (_, index) => Math.cos(index * 0.21));
  const computed = tf.tidy(() => tf.conv2d(
    tf.tensor4d(image, [1, HEIGHT, WIDTH, INPUTS]),
    tf.tensor4d(filter, [KERNEL, KERNEL, INPUTS, OUTPUTS]),
    1,
    'valid',
  ).dataSync());
  const expected = convolve(image, filter);
  let largest = 0;
  let difference = 0;
  expected.forEach((value, index) => {
    largest = Math.max(largest, Math.abs(value));
    difference = Math.max(difference, Math.abs(value - (computed[index] ?? NaN)));
  });
  const error = difference / largest;
  if (computed.length !== expected.length || !(error <= TOLERANCE[device.kind])) {
    throw new ThawError('engine', 'engine-wrong', `TensorFlow ${tensorflowVersion} on ${device.name} computes a wrong convolution (error ${error.toExponential(1)})`, 'Set up the engine again; if it stays, report it with this message');
  }
  return { tensorflow: tensorflowVersion, device, error };
}

/** The definition: image [HEIGHT, WIDTH, INPUTS], filter [KERNEL, KERNEL, INPUTS, OUTPUTS], in float64. */
function convolve(image: Float32Array, filter: Float32Array): Float64Array {
  const height = HEIGHT - KERNEL + 1;
  const width = WIDTH - KERNEL + 1;
  const result = new Float64Array(height * width * OUTPUTS);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let output = 0; output < OUTPUTS; output++) {
    let sum = 0;
    for (let dy = 0; dy < KERNEL; dy++) for (let dx = 0; dx < KERNEL; dx++) for (let input = 0; input < INPUTS; input++) {
      const pixel = image[((y + dy) * WIDTH + x + dx) * INPUTS + input] ?? NaN;
      sum += pixel * (filter[((dy * KERNEL + dx) * INPUTS + input) * OUTPUTS + output] ?? NaN);
    }
    result[(y * width + x) * OUTPUTS + output] = sum;
  }
  return result;
}
