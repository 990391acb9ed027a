// Networks of full width with random weights whose logits are about 1: a plain random network's nearly vanish, and any two would agree.
import type { Tensor, Tensor4D } from '@tensorflow/tfjs';
import type { Engine } from '../../src/engine/load.js';
import { foldBatchNorm, inferenceForward, trainingForward } from '../../src/network/forward.js';
import { parameterSpecs, type Graph } from '../../src/network/graph.js';
import { loadParameters } from '../../src/network/parameters.js';
import type { StateDict } from '../../src/network/weights/stateDict.js';
import { SeededRandom } from '../../src/training/random.js';

/**
 * Filters by He et al. 2015, batch norm's γ and β at random, its statistics those of `x` and off by some per cent, the head scaled.
 * @param x `[batch, size, size, 3]`, normalised
 */
export function calibratedState(engine: Engine, graph: Graph, x: Tensor4D): StateDict {
  const { tf } = engine;
  const random = new SeededRandom(1, graph.name);
  const uniform = (low: number, high: number): number => low + (high - low) * random.uniform();
  const specs = parameterSpecs(graph);
  const state: StateDict = new Map(specs.map(({ name, shape, role, op }) => {
    const count = shape.reduce((product, size) => product * size, 1);
    // A uniform distribution of this half width has He's variance, 2 / fan-in.
    const width = Math.sqrt(6 / (op === 'dense' ? shape[1] ?? 1 : shape.slice(1).reduce((product, size) => product * size, 1)));
    const draw = { weight: () => uniform(-width, width), bias: () => uniform(-0.1, 0.1), scale: () => uniform(0.7, 1.3), offset: () => uniform(-0.2, 0.2), mean: () => 0, variance: () => 1 }[role];
    return [name, { dtype: 'float32', shape, data: Float32Array.from({ length: count }, draw) }];
  }));
  const set = (name: string, values: Float32Array): void => {
    const tensor = state.get(name);
    if (tensor?.dtype === 'float32') state.set(name, { ...tensor, data: values });
  };
  withParameters(engine, graph, state, (parameters) => {
    trainingForward(engine, graph, parameters, x, {
      batchNorm: 'batch',
      onStatistics: (node, mean, variance) => {
        const deviations = variance.dataSync<'float32'>().map(Math.sqrt);
        set(`${node}.running_mean`, mean.dataSync<'float32'>().map((value, index) => value + uniform(-0.2, 0.2) * (deviations[index] ?? 0)));
        set(`${node}.running_var`, deviations.map((value) => value ** 2 * uniform(0.8, 1.3)));
        tf.dispose([mean, variance]);
      },
    }).dispose();
  });
  const logits = inferredLogits(engine, graph, state, x);
  const largest = Math.max(...logits.map(Math.abs));
  for (const part of ['weight', 'bias']) {
    const head = state.get(`${graph.head}.${part}`);
    if (head?.dtype === 'float32') set(`${graph.head}.${part}`, head.data.map((value) => (3 * value) / largest));
  }
  return state;
}

/** Thaw's own logits, `[batch × classes]`. */
export function inferredLogits(engine: Engine, graph: Graph, state: StateDict, x: Tensor4D): Float32Array {
  return withParameters(engine, graph, state, (parameters) => {
    const folded = foldBatchNorm(engine, graph, parameters);
    const logits = engine.tf.tidy(() => inferenceForward(engine, graph, folded, x).dataSync<'float32'>());
    folded.dispose();
    return logits;
  });
}

function withParameters<T>(engine: Engine, graph: Graph, state: StateDict, use: (parameters: ReadonlyMap<string, Tensor>) => T): T {
  const parameters = loadParameters(engine.tf, graph, state, { head: 'from-weights' });
  const result = use(parameters);
  for (const tensor of parameters.values()) tensor.dispose();
  return result;
}
