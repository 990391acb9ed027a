// Where a network begins that learns from nothing: the random values that its own package gives it, by the same distributions.
import { parameterSpecs, type Distribution, type Graph, type ParameterSpec } from './graph.js';
import type { StateDict } from './weights/stateDict.js';

/**
 * Random parameters of a whole graph, in PyTorch's layouts: weights and biases as `graph.initialisation` says; batch norm does nothing yet, with
 * scale 1, offset 0, running mean 0 and running variance 1.
 * @param random `uniform()` in [0, 1)
 */
export function initialState(graph: Graph, random: { uniform(): number }): StateDict {
  const { weights, head } = graph.initialisation;
  return new Map(parameterSpecs(graph).map((spec) => {
    const ofHead = spec.node === graph.head;
    const draw = ((): (() => number) => {
      switch (spec.role) {
        case 'weight': return drawing(ofHead ? head : weights, fans(spec), random);
        case 'bias': return ofHead ? headBiases(graph, random) : () => 0;
        case 'offset':
        case 'mean': return () => 0;
        case 'scale':
        case 'variance': return () => 1;
      }
    })();
    return [spec.name, { dtype: 'float32', shape: [...spec.shape], data: Float32Array.from({ length: elements(spec.shape) }, draw) }];
  }));
}

function headBiases({ initialisation, featureCount }: Graph, random: { uniform(): number }): () => number {
  switch (initialisation.headBias) {
    case 'uniform': return uniform(1 / Math.sqrt(featureCount), random); // by the weight's fan-in
    case 'zero': return () => 0;
    case 'one': return () => 1;
  }
}

/** As PyTorch counts them: of a depthwise convolution, whose filters have one channel each, fan-out is still all channels. */
function fans({ shape }: ParameterSpec): { in: number; out: number } {
  const [outputs = 1, inputs = 1, ...kernel] = shape;
  return { in: inputs * elements(kernel), out: outputs * elements(kernel) };
}

function drawing(distribution: Distribution, fan: { in: number; out: number }, random: { uniform(): number }): () => number {
  switch (distribution) {
    case 'he-normal-fan-out': return normal(Math.sqrt(2 / fan.out), random);
    case 'he-uniform': return uniform(Math.sqrt(6 / fan.in), random);
    case 'uniform': return uniform(1 / Math.sqrt(fan.in), random);
    case 'normal-.01': return normal(0.01, random);
  }
}

function uniform(bound: number, random: { uniform(): number }): () => number {
  return () => (random.uniform() * 2 - 1) * bound;
}

/** Box and Muller 1958, both of each pair. */
function normal(deviation: number, random: { uniform(): number }): () => number {
  let kept: number | undefined;
  return () => {
    if (kept !== undefined) {
      const value = kept;
      kept = undefined;
      return value;
    }
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - random.uniform()));
    const angle = 2 * Math.PI * random.uniform();
    kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
