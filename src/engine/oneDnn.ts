// Kernels of oneDNN that are faster than TensorFlow's own. TF_ENABLE_ONEDNN_OPTS=1, the default on processors with VNNI only, takes all of them,
// the slower ones too, and prints two lines at every start. They can be named one by one.
import { readFileSync } from 'node:fs';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs';
import type { OperationAttribute, OperationBackend } from './kernels.js';

/** Shapes of an operation's inputs, in the operation's order. */
type Shapes = readonly (readonly number[])[];

const FEW_CHANNELS = 4;
const MANY_CHANNELS = 128;
const always = (): boolean => true;

/** Where oneDNN's kernel takes over on a processor without AVX-512. Measured on batches of 16 in networks of 224 × 224 pixels, two threads of a Zen 3 (AVX2). */
const FASTER: Readonly<Record<string, (shapes: Shapes) => boolean>> = {
  // 1.1 to 4 times; the gradient of the filter stays TensorFlow's (oneDNN: .4 to 1.2 times).
  DepthwiseConv2dNative: always,
  FusedDepthwiseConv2dNative: always,
  DepthwiseConv2dNativeBackpropInput: always,
  // The first layer, on three colours: 1.3 to 2.6 times.
  Conv2D: ([, filter]) => (filter?.[2] ?? 0) <= FEW_CHANNELS,
  FusedConv2D: ([, filter]) => (filter?.[2] ?? 0) <= FEW_CHANNELS,
  Conv2DBackpropFilter: ([x]) => (x?.[3] ?? 0) <= FEW_CHANNELS,
  // 3 × 3 on many channels: 1.2 times at 128, 3.2 at 512; .8 at 64.
  Conv2DBackpropInput: ([, filter]) => (filter?.[0] ?? 0) > 1 && (filter?.[2] ?? 0) >= MANY_CHANNELS,
  // 1.2 to 1.4 times, its gradient 3.3 to 3.7 times. One takes what the other reserved: both or neither.
  FusedBatchNormV3: always,
  FusedBatchNormGradV3: always,
};

/**
 * With AVX-512 all of them do: on two threads of a Xeon with VNNI, beside the choice above, forward passes 1.0 to 1.17 times, a finetuning step of
 * ResNet18 1.4 times, of EfficientNet-Lite0 as fast.
 */
const FASTER_WITH_AVX512: typeof FASTER = Object.fromEntries(Object.keys(FASTER).map((name) => [name, always]));

/** Whether this processor computes on 512 bits, by what Linux says of it. */
export function hasAvx512(cpuinfo = readCpuinfo()): boolean {
  return /^flags\s*:.*\bavx512f\b/m.test(cpuinfo);
}

function readCpuinfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return ''; // not on Linux: the choice for narrower processors does everywhere
  }
}

/** The name of oneDNN's kernel for one of TensorFlow's operations; it is found with `oneDnnLabel` only. */
export function oneDnnName(operation: string): string {
  return `_MklNative${operation.replace(/^_/, '')}`;
}

export function oneDnnLabel({ binding }: OperationBackend): OperationAttribute {
  return { name: '_kernel', type: binding.TF_ATTR_STRING, value: 'MklNameChangeOp' };
}

/**
 * Makes the backend run oneDNN's kernels where they are faster. Does nothing where the library has none: that is tried once.
 * For a CPU only; on a GPU these kernels would take the tensors off it.
 * @param probe a small image `[1, height, width, 1]` and a filter `[kernel, kernel, 1, 1]` to try with
 * @returns whether the library has them
 */
export function useOneDnn(backend: OperationBackend, probe: { readonly x: Tensor; readonly filter: Tensor }, avx512 = hasAvx512()): boolean {
  const faster = avx512 ? FASTER_WITH_AVX512 : FASTER;
  const { binding } = backend;
  const single = backend.executeSingleOutput.bind(backend);
  const multiple = backend.executeMultipleOutputs.bind(backend);
  const label = oneDnnLabel(backend);
  const isFaster = (name: string, inputs: readonly TensorInfo[]): boolean => faster[name.replace(/^_/, '')]?.(inputs.map(({ shape }) => shape)) === true;
  try {
    single(oneDnnName('DepthwiseConv2dNative'), [
      { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
      { name: 'strides', type: binding.TF_ATTR_INT, value: [1, 1, 1, 1] },
      { name: 'padding', type: binding.TF_ATTR_STRING, value: 'SAME' },
      { name: 'data_format', type: binding.TF_ATTR_STRING, value: 'NHWC' },
      { name: 'dilations', type: binding.TF_ATTR_INT, value: [1, 1, 1, 1] },
      label,
    ], [probe.x, probe.filter]).dispose();
  } catch {
    return false; // not in this build of the library: TensorFlow's own kernels do
  }
  backend.executeSingleOutput = (name, attributes, inputs) => (
    isFaster(name, inputs) ? single(oneDnnName(name), [...attributes, label], inputs) : single(name, attributes, inputs)
  );
  backend.executeMultipleOutputs = (name, attributes, inputs, outputs) => (
    isFaster(name, inputs) ? multiple(oneDnnName(name), [...attributes, label], inputs, outputs) : multiple(name, attributes, inputs, outputs)
  );
  return true;
}
