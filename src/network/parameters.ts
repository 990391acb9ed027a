// A network's tensors in the engine: keyed by PyTorch's names, in TensorFlow's layouts.
import type { Tensor } from '@tensorflow/tfjs';
import type { Engine } from '../engine/load.js';
import { ThawError } from '../protocol/errors.js';
import { parameterSpecs, type Graph, type ParameterSpec } from './graph.js';
import { asFloat32, quoted, type StateDict } from './weights/stateDict.js';

type Tensorflow = Engine['tf'];

/**
 * By PyTorch's name. Convolutions are `[height, width, inputs, outputs]`, depthwise ones `[height, width, channels, 1]`, dense weights
 * `[inputs, outputs]`, everything else a vector.
 */
export type Parameters = Map<string, Tensor>;

/** The last layer's start, in TensorFlow's layout. */
export interface HeadValues {
  /** `[inputs, classes]`. */
  readonly weight: Float32Array;
  /** `[classes]`. */
  readonly bias: Float32Array;
}

export interface LoadOptions {
  /** `from-weights`: as in the file, which must have as many classes. `new`: the values given; what the file says of the head is not used. */
  readonly head: 'from-weights' | HeadValues;
}

/**
 * Makes a graph's tensors from a state dict. The caller disposes them. Of each batch norm, PyTorch's `num_batches_tracked` is passed over.
 * @throws ThawError `weights-mismatch`, naming the tensor that is missing, left over, or of another shape or type
 */
export function loadParameters(tf: Tensorflow, graph: Graph, state: StateDict, options: LoadOptions): Parameters {
  const specs = parameterSpecs(graph);
  const given = options.head === 'from-weights' ? undefined : options.head;
  checkNames(graph, specs, state);
  const values = specs.map((spec): { name: string; shape: number[]; data: Float32Array } => {
    const { name } = spec;
    const permutation = permutationOf(spec);
    const shape = permutation.map((axis) => spec.shape[axis] ?? 0);
    if (given !== undefined && spec.node === graph.head) {
      const data = spec.role === 'bias' ? given.bias : given.weight;
      if (data.length !== elements(shape)) {
        throw mismatch(graph, `the new ${name} has ${String(data.length)} values instead of ${String(elements(shape))}`);
      }
      return { name, shape, data };
    }
    return { name, shape, data: permuted(valuesOf(graph, spec, state), spec.shape, permutation) };
  });
  return new Map(values.map(({ name, shape, data }) => [name, tf.tensor(data, shape, 'float32')]));
}

/**
 * Checks that a state dict holds a graph's parameters, each of its shape and of finite floating-point numbers, and nothing else.
 * @throws ThawError `weights-mismatch`, as `loadParameters`
 */
export function checkParameters(graph: Graph, state: StateDict): void {
  const specs = parameterSpecs(graph);
  checkNames(graph, specs, state);
  for (const spec of specs) valuesOf(graph, spec, state);
}

/** The reverse of `loadParameters`: PyTorch's layouts. A tensor that nothing has touched comes back bit for bit. */
export function toStateDict(graph: Graph, parameters: ReadonlyMap<string, Tensor>): StateDict {
  return new Map(parameterSpecs(graph).map((spec) => {
    const tensor = parameters.get(spec.name);
    if (tensor === undefined) throw new Error(`parameter ${spec.name} is missing`);
    const permutation = permutationOf(spec);
    const back = permutation.map((_, axis) => permutation.indexOf(axis));
    return [spec.name, { dtype: 'float32', shape: [...spec.shape], data: permuted(tensor.dataSync<'float32'>(), tensor.shape, back) }];
  }));
}

/** A parameter as float32, in PyTorch's layout: half precisions exactly, float64 rounded. */
function valuesOf(graph: Graph, spec: ParameterSpec, state: StateDict): Float32Array {
  const { name } = spec;
  const tensor = state.get(name);
  if (tensor === undefined) throw mismatch(graph, `${name} is missing`);
  if (tensor.shape.join() !== spec.shape.join() || tensor.data.length !== elements(spec.shape)) {
    throw mismatch(graph, `${name} is [${tensor.shape.join(', ')}] instead of [${spec.shape.join(', ')}]`);
  }
  const values = asFloat32(tensor);
  if (values === undefined) throw mismatch(graph, `${name} holds ${tensor.dtype} instead of floating-point numbers`);
  if (!allFinite(values)) throw mismatch(graph, `${name} holds values that are no finite numbers`);
  return values;
}

/** Axes of PyTorch's layout in the order of TensorFlow's. */
function permutationOf(spec: ParameterSpec): readonly number[] {
  if (spec.role !== 'weight') return [0];
  if (spec.op === 'dense') return [1, 0];
  return spec.op === 'depthwiseConv' ? [2, 3, 0, 1] : [2, 3, 1, 0];
}

/** A copy with its axes in another order. Works on the bits, so that no NaN changes its payload. */
function permuted(data: Float32Array, shape: readonly number[], permutation: readonly number[]): Float32Array {
  const source = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const target = new Uint32Array(data.length);
  const strides = shape.map((_, axis) => elements(shape.slice(axis + 1)));
  // Padded in front to four axes, so that four plain loops serve all ranks.
  const sizes = [1, 1, 1, 1, ...permutation.map((axis) => shape[axis] ?? 1)].slice(-4);
  const steps = [0, 0, 0, 0, ...permutation.map((axis) => strides[axis] ?? 0)].slice(-4);
  const [size0 = 1, size1 = 1, size2 = 1, size3 = 1] = sizes;
  const [step0 = 0, step1 = 0, step2 = 0, step3 = 0] = steps;
  let to = 0;
  for (let a = 0; a < size0; a++) {
    for (let b = 0; b < size1; b++) {
      for (let c = 0; c < size2; c++) {
        let from = a * step0 + b * step1 + c * step2;
        for (let d = 0; d < size3; d++, from += step3) target[to++] = source[from] ?? 0;
      }
    }
  }
  return new Float32Array(target.buffer);
}

function allFinite(data: Float32Array): boolean {
  let zero = 0;
  for (const value of data) zero += value * 0; // NaN and infinities times 0 are NaN
  return zero === 0;
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function checkNames(graph: Graph, specs: readonly ParameterSpec[], state: StateDict): void {
  const known = new Set(specs.map((spec) => spec.name));
  for (const node of graph.nodes) if (node.op === 'batchNorm') known.add(`${node.name}.num_batches_tracked`);
  const unknown = [...state.keys()].find((name) => !known.has(name));
  if (unknown !== undefined) throw mismatch(graph, `${quoted(unknown)} belongs to no layer`);
}

function mismatch(graph: Graph, what: string): ThawError {
  return new ThawError('run', 'weights-mismatch', `The weights don't fit ${graph.name}: ${what}`, 'Use weights that were saved from this network');
}
