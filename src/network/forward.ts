// Forward passes of a graph: one for inference, batch norm folded into the convolutions, and one that gradients go through.
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs';
import type { Engine } from '../engine/load.js';
import { grayPixels } from './gray.js';
import { INPUT, type BatchNormNode, type ConvNode, type DepthwiseConvNode, type Graph, type GraphNode, type MaxPoolNode } from './graph.js';
import { poolPadding } from './padding.js';

type Tensorflow = Engine['tf'];

export type Activation = 'linear' | 'relu' | 'relu6';

/** Tensors by PyTorch's name, in TensorFlow's layouts: see parameters.ts. */
type ParameterTensors = ReadonlyMap<string, Tensor>;

/** A node of a graph and those after it that can be done at once with it. */
export interface PlannedStep {
  /** The first of the nodes, which says what is to be done. */
  readonly node: GraphNode;
  /** The last of them, by whose name the result is known. */
  readonly output: string;
  readonly inputs: readonly string[];
  /** Folded into the convolution. */
  readonly batchNorm?: BatchNormNode;
  readonly activation: Activation;
}

/** Filter and bias of convolutions and dense layers, in TensorFlow's layouts (parameters.ts). */
export interface FoldedStep extends PlannedStep {
  readonly filter?: Tensor;
  readonly bias?: Tensor1D;
}

/** A graph's parameters for inference. Its tensors live until `dispose`. */
export interface FoldedParameters {
  readonly steps: readonly FoldedStep[];
  /** Filters and biases are copies: the parameters may change or go. */
  dispose(): void;
}

/**
 * Folds each batch norm, with its running statistics, into the convolution before it: w' = w γ/√(σ² + ε), b' = β − μ γ/√(σ² + ε)
 * (Jacob et al. 2018, section 3.2). An activation that follows becomes part of the step; dropout goes.
 */
export function foldBatchNorm(engine: Engine, graph: Graph, parameters: ParameterTensors): FoldedParameters {
  const { tf } = engine;
  const weights = new Map<string, { filter?: Tensor; bias?: Tensor1D }>();
  const plan = planSteps(graph);
  tf.tidy(() => {
    const folded = affines(tf, plan, parameters);
    for (const step of plan) {
      const made = stepWeights(engine, step, parameters, folded.get(step.node.name));
      if (made.filter !== undefined) tf.keep(made.filter);
      if (made.bias !== undefined) tf.keep(made.bias);
      weights.set(step.node.name, made);
    }
  });
  const steps = plan.map((step): FoldedStep => ({ ...step, ...weights.get(step.node.name) }));
  return {
    steps,
    dispose() {
      for (const { filter, bias } of steps) {
        filter?.dispose();
        bias?.dispose();
      }
    },
  };
}

/**
 * The network without gradients, batch norm by its running statistics. An intermediate result is freed as soon as nothing more needs it.
 * @param x `[batch, height, width, 3]`, normalised, or the output of `from`; stays the caller's
 * @param options.until the node whose output is wanted, instead of the logits: one that isn't folded into a later one
 * @param options.from the node whose output `x` is, instead of the images
 * @returns logits `[batch, classes]`, or the output of `until`; the caller's to dispose
 */
export function inferenceForward(engine: Engine, graph: Graph, folded: FoldedParameters, x: Tensor, options: { until?: string; from?: string } = {}): Tensor {
  const { until, from } = options;
  return engine.tf.tidy(() => runInference(engine, graph, folded, x, { wanted: [until ?? folded.steps.at(-1)?.output ?? INPUT], from }, (output) => output)[0] as Tensor);
}

/**
 * Outputs of several nodes from one pass, each averaged over its positions.
 * @param x `[batch, height, width, 3]`, normalised; stays the caller's
 * @param wanted as `until` of `inferenceForward`, in the graph's order
 * @returns `[batch, channels]` of each; the caller's to dispose
 */
export function inferenceAverages(engine: Engine, graph: Graph, folded: FoldedParameters, x: Tensor, wanted: readonly string[]): Tensor2D[] {
  const { tf } = engine;
  return tf.tidy(() => runInference(engine, graph, folded, x, { wanted, from: undefined },
    (output) => (output.rank === 4 ? tf.mean<Tensor2D>(output, [1, 2]) : output.clone() as Tensor2D)));
}

/** What `taken` makes of the output of each node that is wanted, as soon as it is there. Within a `tidy`. */
function runInference<Taken extends Tensor>(
  engine: Engine, graph: Graph, folded: FoldedParameters, x: Tensor, { wanted, from }: { readonly wanted: readonly string[]; readonly from: string | undefined }, taken: (output: Tensor) => Taken,
): Taken[] {
  const placeOf = (output: string): number => {
    const place = folded.steps.findIndex((step) => step.output === output);
    if (place < 0) throw new Error(`${graph.name} has no result called ${output} in inference`);
    return place;
  };
  const steps = folded.steps.slice(from === undefined ? 0 : placeOf(from) + 1, Math.max(...wanted.map(placeOf)) + 1);
  const uses = new Map<string, number>();
  for (const step of steps) for (const input of step.inputs) uses.set(input, (uses.get(input) ?? 0) + 1);
  const given = from ?? INPUT;
  const results = new Map<string, Tensor>([[given, x]]);
  const outputs: Taken[] = [];
  for (const step of steps) {
    const inputs = step.inputs.map((name) => value(results, name));
    const output = engine.tf.tidy(() => runFolded(engine, step, inputs));
    results.set(step.output, output);
    if (wanted.includes(step.output)) outputs.push(taken(output));
    for (const name of step.inputs) {
      const left = (uses.get(name) ?? 0) - 1;
      uses.set(name, left);
      if (left > 0 || name === given) continue;
      results.get(name)?.dispose();
      results.delete(name);
    }
  }
  return outputs;
}

export interface TrainingOptions {
  /** `batch`: normalised by the batch's own statistics. `frozen`: by the running ones, which have no gradient and don't move. */
  readonly batchNorm: 'frozen' | 'batch';
  /**
   * Batch norm's mean and Bessel-corrected variance over the batch, `[channels]` each, with `batch` only. The callee disposes both.
   * Running statistics are the caller's to move.
   */
  readonly onStatistics?: (node: string, mean: Tensor1D, variance: Tensor1D) => void;
  /** Draws the zeros of dropout; without it, dropout does nothing. */
  readonly dropout?: { readonly seed: number };
  /** The node whose output is wanted instead of the logits. Results inside are freed on the way: no gradient goes through. */
  readonly until?: string;
  /** The node whose output `x` is, instead of the images: only what comes after it runs. */
  readonly from?: string;
}

/**
 * The network as gradients go through it, by TensorFlow's fused kernels. Intermediate results live as long as the gradient needs them.
 * Batch norm over frozen statistics is folded into its convolution as in inference, and the gradients of γ, β and the filter go through the
 * folding: over the feature map that leaves one addition, where the kernel for batch norm's own gradient takes four times as long.
 * @param x `[batch, height, width, 3]`, normalised, or the output of `from`; stays the caller's
 * @returns logits `[batch, classes]`, or the output of `until`; the caller's to dispose
 */
export function trainingForward(engine: Engine, graph: Graph, parameters: ParameterTensors, x: Tensor, options: TrainingOptions): Tensor {
  const { tf } = engine;
  const steps = planSteps(graph, { fold: options.batchNorm === 'frozen', dropout: options.dropout !== undefined });
  const placeOf = (output: string): number => {
    const place = steps.findIndex((step) => step.output === output);
    if (place < 0) throw new Error(`${graph.name} has no result called ${output} in training`);
    return place;
  };
  const { from, until } = options;
  const chosen = steps.slice(from === undefined ? 0 : placeOf(from) + 1, until === undefined ? undefined : placeOf(until) + 1);
  const lastUse = new Map<string, PlannedStep>();
  if (until !== undefined) for (const step of chosen) for (const input of step.inputs) lastUse.set(input, step);
  return tf.tidy(() => {
    const results = new Map<string, Tensor>([[from ?? INPUT, x]]);
    const folded = affines(tf, chosen, parameters);
    let output = x;
    for (const step of chosen) {
      const inputs = step.inputs.map((name) => value(results, name));
      const run = (): Tensor => runTraining(engine, graph, step, inputs, parameters, folded.get(step.node.name), options);
      output = until === undefined ? run() : tf.tidy(run);
      results.set(step.output, output);
      for (const input of new Set(step.inputs)) {
        if (lastUse.get(input) === step && input !== (from ?? INPUT)) results.get(input)?.dispose();
      }
    }
    return output;
  });
}

/**
 * Pixels to the network's input: gray, if the network is for gray images, and (value − mean) / std of each channel.
 * @param pixels `[batch, size, size, 3]`, RGB, 0 to 255
 * @returns `[batch, size, size, 3]`; the caller's to dispose
 */
export function normalise(engine: Engine, graph: Graph, pixels: Uint8Array, batch: number): Tensor4D {
  const size = Math.round(Math.sqrt(pixels.length / (batch * 3)));
  if (batch * size * size * 3 !== pixels.length) throw new Error(`${String(pixels.length)} bytes are not ${String(batch)} square images`);
  const { colour: shown, mean, std } = graph.preprocessing;
  const levels = shown === 'gray' ? grayPixels(pixels) : pixels;
  const [red, green, blue] = ([0, 1, 2] as const).map((colour) => Float32Array.from({ length: 256 }, (_, level) => (level - mean[colour]) / std[colour]));
  if (red === undefined || green === undefined || blue === undefined) throw new Error('three colours');
  const values = new Float32Array(pixels.length);
  for (let at = 0; at < pixels.length; at += 3) {
    values[at] = red[levels[at] as number] as number;
    values[at + 1] = green[levels[at + 1] as number] as number;
    values[at + 2] = blue[levels[at + 2] as number] as number;
  }
  return engine.tf.tensor4d(values, [batch, size, size, 3], 'float32');
}

/**
 * The graph's nodes in order, each convolution with what follows it where nothing else reads it: batch norm (`fold`) and an activation.
 * Dropout goes unless asked for.
 */
function planSteps(graph: Graph, options: { fold: boolean; dropout: boolean } = { fold: true, dropout: false }): PlannedStep[] {
  const readers = new Map<string, GraphNode[]>();
  for (const node of graph.nodes) for (const input of node.inputs) readers.set(input, [...(readers.get(input) ?? []), node]);
  const onlyReader = (name: string): GraphNode | undefined => {
    const all = readers.get(name) ?? [];
    return all.length === 1 ? all[0] : undefined;
  };
  const done = new Set<string>();
  /** Nodes that pass on what they get. */
  const same = new Map<string, string>();
  const steps: PlannedStep[] = [];
  for (const node of graph.nodes) {
    if (done.has(node.name)) continue;
    const inputs = node.inputs.map((input) => same.get(input) ?? input);
    if (node.op === 'dropout' && !options.dropout) {
      same.set(node.name, only(inputs));
      continue;
    }
    if (!options.fold || (node.op !== 'conv' && node.op !== 'depthwiseConv')) {
      if (options.fold && node.op === 'batchNorm') throw new Error(`${node.name} follows no convolution that only it reads: it can't be folded`);
      steps.push({ node, output: node.name, inputs, activation: 'linear' });
      continue;
    }
    let output = node.name;
    let next = onlyReader(output);
    const batchNorm = next?.op === 'batchNorm' ? next : undefined;
    if (batchNorm !== undefined) {
      output = batchNorm.name;
      done.add(output);
      next = onlyReader(output);
    }
    let activation: Activation = 'linear';
    if (next?.op === 'relu' || next?.op === 'relu6') {
      activation = next.op;
      output = next.name;
      done.add(output);
    }
    steps.push({ node, output, inputs, activation, ...(batchNorm !== undefined && { batchNorm }) });
  }
  return steps;
}

/** What a batch norm does to its channels: times `factor`, plus `shift`. */
interface Affine {
  readonly factor: Tensor1D;
  readonly shift: Tensor1D;
}

/** Every folded batch norm's γ/√(σ² + ε) and β − μ γ/√(σ² + ε), by the convolution's name: all at once, since each is short. Gradients go to γ and β. */
function affines(tf: Tensorflow, steps: readonly PlannedStep[], parameters: ParameterTensors): ReadonlyMap<string, Affine> {
  const folded = steps.flatMap(({ node, batchNorm }) => (batchNorm === undefined ? [] : [{ node, batchNorm, ...batchNormTensors(parameters, batchNorm) }]));
  if (folded.length === 0) return new Map();
  const sizes = folded.map(({ batchNorm }) => batchNorm.channels);
  const epsilons = tf.tensor1d(folded.flatMap(({ batchNorm }) => Array.from({ length: batchNorm.channels }, () => batchNorm.epsilon)));
  const factor = tf.mul<Tensor1D>(tf.concat1d(folded.map(({ scale }) => scale)), tf.rsqrt(tf.add(tf.concat1d(folded.map(({ variance }) => variance)), epsilons)));
  const shift = tf.sub<Tensor1D>(tf.concat1d(folded.map(({ offset }) => offset)), tf.mul(tf.concat1d(folded.map(({ mean }) => mean)), factor));
  const [factors, shifts] = [tf.split(factor, sizes), tf.split(shift, sizes)];
  return new Map(folded.map(({ node }, index) => [node.name, { factor: factors[index] as Tensor1D, shift: shifts[index] as Tensor1D }]));
}

/** Filter and bias of a step; new tensors, which gradients go through. */
function stepWeights(engine: Engine, { node }: PlannedStep, parameters: ParameterTensors, affine: Affine | undefined): { filter?: Tensor; bias?: Tensor1D } {
  if (node.op !== 'conv' && node.op !== 'depthwiseConv' && node.op !== 'dense') return {};
  const { tf } = engine;
  const filter = parameter(parameters, `${node.name}.weight`);
  const bias = node.op === 'dense' || (node.op === 'conv' && node.bias) ? parameter(parameters, `${node.name}.bias`) as Tensor1D : undefined;
  if (affine === undefined) return { filter: filter.clone(), ...(bias !== undefined && { bias: bias.clone() }) };
  const { factor, shift } = affine;
  return { filter: scaleChannels(engine, filter, factor, node.op === 'depthwiseConv'), bias: bias === undefined ? shift.clone() : tf.add(shift, tf.mul(bias, factor)) };
}

/** x × factor of each channel, with a gradient of two products and a sum; tfjs's own casts and reshapes besides, for every filter. */
function scaleChannels<T extends Tensor>({ tf, kernels }: Engine, x: T, factor: Tensor1D, depthwise = false): T {
  return tf.customGrad<T>((...args) => {
    const [values, scale, save] = args as [T, Tensor, (tensors: Tensor[]) => void];
    // Depthwise filters have their channels on the axis before the last.
    const shaped = depthwise ? tf.reshape(scale, [-1, 1]) : scale;
    save([values, shaped]);
    return {
      value: tf.mul<T>(values, shaped),
      gradFunc: (dy: T, [saved, scales]: Tensor[]) => {
        const product = tf.mul(dy, saved as Tensor);
        return [tf.mul<T>(dy, scales as Tensor), depthwise ? tf.sum(product, [0, 1, 3]) : kernels.sumToChannels(product)];
      },
    };
  })(x, factor);
}

function runFolded(engine: Engine, step: FoldedStep, inputs: readonly Tensor[]): Tensor {
  const { tf } = engine;
  const { node, filter, bias, activation } = step;
  const x = only(inputs) as Tensor4D;
  switch (node.op) {
    case 'conv':
    case 'depthwiseConv': {
      return convolve(engine, node, x, filter, bias, activation);
    }
    case 'dense':
      return tf.add(tf.matMul(x as Tensor as Tensor2D, filter as Tensor2D), bias as Tensor1D);
    case 'relu':
      return tf.relu(x);
    case 'relu6':
      return tf.relu6(x);
    default:
      return runPlain(engine, node, inputs);
  }
}

function runTraining(
  engine: Engine,
  graph: Graph,
  step: PlannedStep,
  inputs: readonly Tensor[],
  parameters: ParameterTensors,
  affine: Affine | undefined,
  options: TrainingOptions,
): Tensor {
  const { tf, kernels } = engine;
  const { node, activation } = step;
  const x = only(inputs) as Tensor4D;
  switch (node.op) {
    case 'conv':
    case 'depthwiseConv': {
      if (affine !== undefined && node.op === 'conv' && isSmallerThanFilter(x, node)) {
        const { filter, bias } = stepWeights(engine, step, parameters, undefined);
        const y = tf.add(scaleChannels(engine, convolve(engine, node, x, filter, bias, 'linear'), affine.factor), affine.shift);
        return activation === 'linear' ? y : kernels[activation](y);
      }
      const { filter, bias } = stepWeights(engine, step, parameters, affine);
      return convolve(engine, node, x, filter, bias, activation);
    }
    case 'batchNorm': {
      const { scale, offset } = batchNormTensors(parameters, node);
      const { onStatistics } = options;
      if (onStatistics === undefined) return kernels.batchNormTraining(x, scale, offset, node.epsilon);
      return kernels.batchNormTraining(x, scale, offset, node.epsilon, (batchMean, batchVariance) => {
        onStatistics(node.name, batchMean, batchVariance);
      });
    }
    case 'relu':
    case 'relu6':
      return kernels[node.op](x);
    case 'dropout':
      return options.dropout === undefined ? x : tf.dropout(x, node.rate, undefined, options.dropout.seed + graph.nodes.indexOf(node));
    case 'dense': {
      const { filter, bias } = stepWeights(engine, step, parameters, affine);
      return tf.add(tf.matMul(x as Tensor as Tensor2D, filter as Tensor2D), bias as Tensor1D);
    }
    default:
      return runPlain(engine, node, inputs);
  }
}

/**
 * Whether the convolution's result is so small beside its filter that the batch norm after it is cheaper done on the result than folded into the
 * filter: there, twice forward and three times back, instead of once and three times. ResNet18's last stage, at 7 × 7 pixels and batch 16.
 */
function isSmallerThanFilter(x: Tensor4D, { kernel, stride, inputChannels }: ConvNode): boolean {
  const [batch, height, width] = x.shape;
  return kernel * kernel * inputChannels > 2 * batch * Math.ceil(height / stride) * Math.ceil(width / stride);
}

/** Nodes without parameters, the same in both passes. */
function runPlain({ tf, kernels }: Engine, node: GraphNode, inputs: readonly Tensor[]): Tensor {
  switch (node.op) {
    case 'maxPool':
      return kernels.maxPool(paddedForPooling(tf, only(inputs) as Tensor4D, node), node.kernel, node.stride);
    case 'globalAveragePool':
      return tf.mean(only(inputs), [1, 2]);
    case 'add':
      return inputs.reduce((sum, next) => tf.add(sum, next));
    case 'concat':
      return tf.concat([...inputs], 3);
    default:
      throw new Error(`${node.name}: ${node.op} has no forward pass here`);
  }
}

function convolve(engine: Engine, node: ConvNode | DepthwiseConvNode, x: Tensor4D, filter: Tensor | undefined, bias: Tensor1D | undefined, activation: Activation): Tensor {
  const { tf, kernels } = engine;
  const { padded, pad } = paddedForConvolution(tf, x, node);
  const weights = filter as Tensor4D;
  if (bias !== undefined) return kernels.convolution(padded, weights, bias, { stride: node.stride, pad, activation, depthwise: node.op === 'depthwiseConv' });
  const y = (node.op === 'conv' ? tf.conv2d : tf.depthwiseConv2d)(padded, weights, node.stride, pad);
  return activation === 'linear' ? y : kernels[activation](y);
}

/** TensorFlow's gradients know `same` and `valid` only, so PyTorch's padding is an op of its own. */
function paddedForConvolution(tf: Tensorflow, x: Tensor4D, { kernel, stride, padding }: ConvNode | DepthwiseConvNode): { padded: Tensor4D; pad: 'same' | 'valid' } {
  // With stride 1, PyTorch's padding of half a kernel is `same`.
  if (padding === 'same' || (stride === 1 && 2 * padding === kernel - 1)) return { padded: x, pad: 'same' };
  const padded = padding === 0 ? x : tf.pad(x, [[0, 0], [padding, padding], [padding, padding], [0, 0]]);
  return { padded, pad: 'valid' };
}

function paddedForPooling(tf: Tensorflow, x: Tensor4D, node: MaxPoolNode): Tensor4D {
  const [rows, columns] = [poolPadding(x.shape[1], node), poolPadding(x.shape[2], node)];
  return [...rows, ...columns].every((amount) => amount === 0) ? x : tf.pad(x, [[0, 0], rows, columns, [0, 0]], Number.NEGATIVE_INFINITY);
}

function batchNormTensors(parameters: ParameterTensors, node: BatchNormNode): { scale: Tensor1D; offset: Tensor1D; mean: Tensor1D; variance: Tensor1D } {
  const tensor = (suffix: string): Tensor1D => parameter(parameters, `${node.name}.${suffix}`) as Tensor1D;
  return { scale: tensor('weight'), offset: tensor('bias'), mean: tensor('running_mean'), variance: tensor('running_var') };
}

function parameter(parameters: ParameterTensors, name: string): Tensor {
  const tensor = parameters.get(name);
  if (tensor === undefined) throw new Error(`parameter ${name} is missing`);
  return tensor;
}

function value(results: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const tensor = results.get(name);
  if (tensor === undefined) throw new Error(`${name} is read before it is there`);
  return tensor;
}

/** The first input, which for most nodes is the only one. */
function only<T>(inputs: readonly T[]): T {
  const [first] = inputs;
  if (first === undefined) throw new Error('a node without input');
  return first;
}
