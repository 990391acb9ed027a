// The network against PyTorch's float64: forward, gradients, optimizer steps. Each comparison fails when any one parameter is 1 % off.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Scalar, Tensor, Tensor1D, Tensor4D, Variable } from '@tensorflow/tfjs';
import { loadEngine, type Engine } from '../../src/engine/load.js';
import { foldBatchNorm, inferenceForward, trainingForward } from '../../src/network/forward.js';
import { loadParameters, toStateDict } from '../../src/network/parameters.js';
import type { StateDict } from '../../src/network/weights/stateDict.js';
import { evaluateHead, featureShape, trainHead, type FeatureSet } from '../../src/training/freeze.js';
import { evaluateLogits } from '../../src/training/loop.js';
import { crossEntropy } from '../../src/training/finetune.js';
import { clippingFactor, SgdMomentum } from '../../src/training/optimizer.js';
import { SeededRandom } from '../../src/training/random.js';
import { recipeNamed } from '../../src/training/recipes.js';
import { difference, maximumError, namesOf, norm, onePercentMore, readGolden, type GoldenName, type GoldenNetwork } from './goldenNetwork.js';

const FORWARD = 1e-4;
const GRADIENT = 1e-3;
/** A gradient below this share of the largest one is nothing but rounding: compared with the largest. */
const TINY = 1e-3;

const noState: StateDict = new Map();

type Mode = 'frozen' | 'batch';

let engine: Engine;
before(async () => { engine = await loadEngine(); });

/** Logits of inference, batch norm folded. */
function inferred(golden: GoldenNetwork, start: StateDict = golden.start, until?: string): Float32Array {
  const { tf } = engine;
  const parameters = loadParameters(tf, golden.graph, start, { head: 'from-weights' });
  const folded = foldBatchNorm(engine, golden.graph, parameters);
  const logits = tf.tidy(() => inferenceForward(engine, golden.graph, folded, imagesOf(golden), { ...(until !== undefined && { until }) }).dataSync<'float32'>());
  folded.dispose();
  for (const tensor of parameters.values()) tensor.dispose();
  return logits;
}

function imagesOf(golden: GoldenNetwork): Tensor4D {
  return engine.tf.tensor(golden.images.data, [...golden.images.shape] as Tensor4D['shape']);
}

interface Trained {
  readonly logits: Float32Array;
  readonly loss: number;
  /** Of the first step, in PyTorch's layouts. */
  readonly gradients: StateDict;
  /** Parameters and running statistics after each step. */
  readonly steps: readonly StateDict[];
}

/** Steps of SGD on the one batch. */
function train(golden: GoldenNetwork, mode: Mode, steps: number, start: StateDict = golden.start): Trained {
  const { tf } = engine;
  const { graph } = golden;
  const parameters = loadParameters(tf, graph, start, { head: 'from-weights' });
  const trainable = new Set(namesOf(graph, 'trainable'));
  const variables = new Map<string, Variable>();
  for (const [name, tensor] of parameters) {
    if (!trainable.has(name)) continue;
    const variable = tf.variable(tensor);
    tensor.dispose();
    variables.set(name, variable);
    parameters.set(name, variable);
  }
  const momenta = new Map(graph.nodes.flatMap((node) => (node.op === 'batchNorm' ? [[node.name, node.momentum] as const] : [])));
  const move = (name: string, value: Tensor1D, momentum: number): void => {
    const old = parameters.get(name);
    assert.ok(old);
    parameters.set(name, tf.tidy(() => tf.keep(tf.add(tf.mul(old, 1 - momentum), tf.mul(value, momentum)))));
    old.dispose();
    value.dispose();
  };
  const optimizer = new SgdMomentum(engine, { momentum: golden.sgd.momentum, weightDecay: golden.sgd.weight_decay });
  const images = imagesOf(golden);
  const truth = tf.tidy(() => tf.oneHot(tf.tensor1d(golden.labels, 'int32'), golden.classes));
  let first: Omit<Trained, 'steps'> | undefined;
  const states: StateDict[] = [];
  for (let step = 0; step < steps; step++) {
    let logits: Tensor | undefined;
    const { value, grads } = tf.variableGrads((): Scalar => {
      logits = tf.keep(trainingForward(engine, graph, parameters, images, {
        batchNorm: mode,
        onStatistics: (node, mean, variance) => {
          const momentum = momenta.get(node) ?? NaN;
          move(`${node}.running_mean`, mean, momentum);
          move(`${node}.running_var`, variance, momentum);
        },
      }));
      return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), truth), 1)));
    }, [...variables.values()]);
    const gradients = new Map([...variables].map(([name, variable]) => [name, grads[variable.name] as Tensor]));
    first ??= {
      logits: logits?.dataSync<'float32'>() ?? new Float32Array(),
      loss: value.dataSync()[0] ?? NaN,
      gradients: toStateDict(graph, new Map([...parameters, ...gradients])),
    };
    optimizer.step(variables, gradients, () => golden.sgd.lr);
    states.push(toStateDict(graph, parameters));
    for (const tensor of [value, logits, ...gradients.values()]) tensor?.dispose();
  }
  optimizer.dispose();
  for (const tensor of [images, truth, ...parameters.values()]) tensor.dispose();
  assert.ok(first);
  return { ...first, steps: states };
}

function floats(state: StateDict, name: string): Float32Array {
  const tensor = state.get(name);
  assert.ok(tensor?.dtype === 'float32', name);
  return tensor.data;
}

/** The worst error of the gradients: ‖a − b‖ / ‖b‖ for each tensor. */
function gradientError(golden: GoldenNetwork, mode: Mode, gradients: StateDict): { error: number; name: string } {
  const names = namesOf(golden.graph, 'trainable');
  const exact = new Map(names.map((name) => [name, golden.value(`${mode}/gradient/${name}`)]));
  const largest = Math.max(...[...exact.values()].map(norm));
  return worst(names, (name) => {
    const value = exact.get(name) ?? new Float32Array();
    return norm(difference(floats(gradients, name), value)) / Math.max(norm(value), TINY * largest);
  });
}

/** The worst error of how far the tensors moved from the start: ‖Δa − Δb‖ / ‖Δb‖; of one that hardly moved, against its size. */
function stepError(golden: GoldenNetwork, key: string, names: readonly string[], state: StateDict, start: StateDict): { error: number; name: string } {
  return worst(names, (name) => {
    const exact = golden.value(`${key}/${name}`);
    const moved = difference(exact, floats(golden.start, name));
    return norm(difference(difference(floats(state, name), floats(start, name)), moved)) / Math.max(norm(moved), 1e-2 * norm(exact));
  });
}

function worst(names: readonly string[], errorOf: (name: string) => number): { error: number; name: string } {
  let result = { error: 0, name: '' };
  for (const name of names) {
    const error = errorOf(name);
    if (!(error <= result.error)) result = { error, name };
  }
  return result;
}

const WITHOUT_EFFECT: Readonly<Record<GoldenName, RegExp>> = {
  lite: /\._bn2\.bias$/, residual: /^stem\.bias$/, basic: /^$/, bottleneck: /^$/, mobile: /^features\.[1-9]\d*\.conv\.[23]\.bias$/, squeeze: /^$/,
};

for (const name of ['lite', 'residual', 'basic', 'bottleneck', 'mobile', 'squeeze'] satisfies GoldenName[]) {
  describe(name, () => {
    const golden = readGolden(name);

    test('the logits of inference are PyTorch\'s', () => {
      const exact = golden.value('evaluation/logits');
      assert.ok(norm(exact) / Math.sqrt(exact.length) > 0.3, 'logits of about 1');
      const error = maximumError(inferred(golden), exact);
      assert.ok(error <= FORWARD, String(error));
    });

    test('the features that freeze caches are PyTorch\'s', () => {
      const error = maximumError(inferred(golden, golden.start, golden.graph.features), golden.value('evaluation/features'));
      assert.ok(error <= FORWARD, String(error));
    });

    test('the logits of inference fail when any one tensor is 1 % off', () => {
      for (const tensor of namesOf(golden.graph, 'all')) {
        const error = maximumError(inferred(golden, onePercentMore(golden.start, tensor)), golden.value('evaluation/logits'));
        assert.ok(error > FORWARD, `${tensor}: ${String(error)}`);
      }
    });

    for (const mode of ['frozen', 'batch'] as const) {
      test(`logits, loss and gradients are PyTorch's, batch norm ${mode}`, () => {
        const { logits, loss, gradients } = train(golden, mode, 1);
        assert.ok(maximumError(logits, golden.value(`${mode}/logits`)) <= FORWARD);
        assert.ok(maximumError([loss], golden.value(`${mode}/loss`)) <= FORWARD);
        const { error, name: tensor } = gradientError(golden, mode, gradients);
        assert.ok(error <= GRADIENT, `${tensor}: ${String(error)}`);
      });

      if (golden.hasSteps) test(`three steps of SGD move every tensor as PyTorch's do, batch norm ${mode}`, () => {
        const { steps } = train(golden, mode, 3);
        const { error, name: tensor } = stepError(golden, `${mode}/step3`, namesOf(golden.graph, 'all'), steps[2] ?? noState, golden.start);
        assert.ok(error <= GRADIENT, `${tensor}: ${String(error)}`);
      });
    }

    if (golden.hasSteps) test('running statistics after one step are PyTorch\'s', () => {
      const running = namesOf(golden.graph, 'all').filter((tensor) => tensor.includes('.running_'));
      const { steps } = train(golden, 'batch', 1);
      const { error, name: tensor } = stepError(golden, 'batch/step1', running, steps[0] ?? noState, golden.start);
      assert.ok(error <= GRADIENT, `${tensor}: ${String(error)}`);
      const { steps: frozenSteps } = train(golden, 'frozen', 1);
      for (const frozen of running) assert.deepEqual(floats(frozenSteps[0] ?? noState, frozen), floats(golden.start, frozen));
    });

    test(`gradients ${golden.hasSteps ? 'and steps ' : ''}fail when any one tensor is 1 % off`, () => {
      const names = namesOf(golden.graph, 'all');
      for (const tensor of names) {
        const start = onePercentMore(golden.start, tensor);
        const trained = train(golden, 'frozen', golden.hasSteps ? 3 : 1, start);
        const gradients = gradientError(golden, 'frozen', trained.gradients).error;
        assert.ok(gradients > GRADIENT, `gradients for ${tensor}: ${String(gradients)}`);
        if (!golden.hasSteps) continue;
        const steps = stepError(golden, 'frozen/step3', names, trained.steps[2] ?? noState, start).error;
        assert.ok(steps > GRADIENT, `steps for ${tensor}: ${String(steps)}`);
      }
    });

    test('gradients fail when any one tensor is 1 % off, batch norm batch', () => {
      // Batch statistics take away what was added before them, through a 1 × 1 convolution too: nothing depends on these.
      const without = WITHOUT_EFFECT[name];
      for (const tensor of namesOf(golden.graph, 'trainable')) {
        const { error, name: seen } = gradientError(golden, 'batch', train(golden, 'batch', 1, onePercentMore(golden.start, tensor)).gradients);
        if (without.test(tensor)) assert.ok(error <= GRADIENT, `${tensor}: ${String(error)} in ${seen}`);
        else assert.ok(error > GRADIENT, `${tensor}: ${String(error)}`);
      }
    });

    test('the head that freeze trains on features gives PyTorch\'s logits, and moves by PyTorch\'s gradient', async () => {
      const { graph, labels, classes } = golden;
      const order = Int32Array.from(labels.keys());
      const set: FeatureSet = { values: golden.value('evaluation/features'), shape: featureShape(graph), rows: order, labels };
      const parameters = loadParameters(engine.tf, graph, golden.start, { head: 'from-weights' });
      const valueOf = (suffix: string): Float32Array => parameters.get(`${graph.head}.${suffix}`)?.dataSync<'float32'>() ?? new Float32Array();
      const head = { weight: valueOf('weight'), bias: valueOf('bias') };
      for (const tensor of parameters.values()) tensor.dispose();
      const expected = evaluateLogits(golden.value('evaluation/logits'), labels, classes);
      assert.ok(maximumError(evaluateHead(engine, set, head, classes).probabilities, expected.probabilities) <= FORWARD);

      const learningRate = 0.01;
      const trained = await trainHead(engine, set, set, classes, head, { ...recipeNamed('default', 'freeze', 'efficientnet_lite0').head, optimizer: 'sgd', epochs: 1, batch: labels.length, leastSteps: 1, learningRate }, new SeededRandom(0, 'order'),
        { onEpoch: () => undefined, stopRequested: () => false });
      for (const suffix of ['weight', 'bias'] as const) {
        const exact = golden.value(`frozen/gradient/${graph.head}.${suffix}`);
        const steps = head[suffix].map((value, index) => (value - (trained.head[suffix][index] ?? NaN)) / learningRate);
        // The head's weights are [inputs, classes] here, [classes, inputs] there.
        const data = suffix === 'bias' ? steps : Float32Array.from(exact, (_, index) => steps[(index % graph.featureCount) * classes + Math.floor(index / graph.featureCount)] ?? NaN);
        const error = norm(difference(data, exact)) / norm(exact);
        assert.ok(error <= GRADIENT, `${suffix}: ${String(error)}`);
      }
    });

    test('a node inside is reached, and no tensor is left', () => {
      const { tf } = engine;
      inferred(golden);
      train(golden, 'batch', 1);
      const count = tf.memory().numTensors;
      inferred(golden);
      train(golden, 'batch', 2);
      train(golden, 'frozen', 1);
      assert.equal(tf.memory().numTensors, count);

      const parameters = loadParameters(tf, golden.graph, golden.start, { head: 'from-weights' });
      const folded = foldBatchNorm(engine, golden.graph, parameters);
      const images = imagesOf(golden);
      const features = inferenceForward(engine, golden.graph, folded, images, { until: golden.graph.features });
      assert.equal(features.size, golden.labels.length * golden.graph.featurePositions * golden.graph.featureCount);
      assert.throws(() => inferenceForward(engine, golden.graph, folded, images, { until: 'nowhere' }), /nowhere/);
      folded.dispose();
      for (const tensor of [features, images, ...parameters.values()]) tensor.dispose();
      assert.equal(tf.memory().numTensors, count);
    });
  });
}

/** The engine as it is where there is no operation of our own for SGD's step: on a GPU. */
function composedSgd(): Pick<Engine, 'tf' | 'kernels'> {
  const { momentumStep, ...kernels } = engine.kernels;
  assert.ok(momentumStep, 'on a CPU the addon brings the operation');
  return { tf: engine.tf, kernels };
}

for (const way of ['one operation', 'composed'] as const) test(`SGD with clipped gradients moves as torch.optim.SGD after clip_grad_norm_, a rate of 0 in between too (${way})`, () => {
  const { tf } = engine;
  const tensors = tf.memory().numTensors;
  const start = new Map<string, Tensor>([['w', tf.tensor2d([[0.5, -1], [2, 0.25]])], ['b', tf.tensor1d([0.1, -0.2])]]);
  const variables = new Map([...start].map(([name, tensor]) => [name, tf.variable(tensor)]));
  tf.dispose([...start.values()]);
  const optimizer = new SgdMomentum(way === 'composed' ? composedSgd() : engine, { momentum: 0.9, weightDecay: (name) => (name === 'w' ? 0.1 : 0) });
  // By PyTorch 2.13 in float64, norms clipped to 1: rate, gradients of w and b, then w and b after the step.
  const steps: [number, number[][], number[], number[], number[]][] = [
    [0.1, [[1, 2], [-3, 0.5]], [0.5, -1], [0.46959998, -1.04080004, 2.05620006, 0.23479999], [0.08729999, -0.17459998]],
    [0, [[0.1, 0.2], [0.3, -0.1]], [0.05, 0.1], [0.46959998, -1.04080004, 2.05620006, 0.23479999], [0.08729999, -0.17459998]],
    [0.05, [[-2, 1], [4, -1]], [3, 0], [0.4662873, -1.06541672, 2.01000613, 0.23989365], [0.0529657, -0.16881297]],
  ];
  for (const [rate, w, b, wAfter, bAfter] of steps) {
    const gradients = new Map<string, Tensor>([['w', tf.tensor2d(w)], ['b', tf.tensor1d(b)]]);
    const factor = clippingFactor(engine, gradients, 1);
    optimizer.step(variables, gradients, () => rate, factor);
    tf.dispose([factor, ...gradients.values()]);
    for (const [name, expected] of [['w', wAfter], ['b', bAfter]] as const) {
      variables.get(name)?.dataSync().forEach((value, index) => {
        assert.ok(Math.abs(value - (expected[index] ?? NaN)) < 2e-7, `${name} at rate ${String(rate)}: ${String(value)} for ${String(expected[index])}`);
      });
    }
  }
  optimizer.dispose();
  for (const variable of variables.values()) variable.dispose();
  assert.equal(tf.memory().numTensors, tensors, 'tensors are left');
});

test('the operation for SGD\'s step moves large tensors, which it spreads over threads, as the composed step does', () => {
  const { tf } = engine;
  const shape = [3, 3, 320, 301]; // no multiple of a thread's share, or of a vector register
  const draw = (seed: number): Tensor => tf.randomNormal(shape, 0, 1, 'float32', seed);
  const weights = [engine, composedSgd()].map((way) => {
    const optimizer = new SgdMomentum(way, { momentum: 0.9, weightDecay: 0.01 });
    const variable = tf.tidy(() => tf.variable(draw(1)));
    for (const [index, rate] of [0.1, 0.05, 0.2].entries()) {
      const gradients = new Map([['w', draw(2 + index)]]);
      const factor = clippingFactor(way, gradients, 1);
      optimizer.step(new Map([['w', variable]]), gradients, () => rate, factor);
      tf.dispose([factor, ...gradients.values()]);
    }
    optimizer.dispose();
    const values = variable.dataSync<'float32'>();
    variable.dispose();
    return values;
  });
  const [ours, theirs] = weights;
  assert.ok(ours && theirs);
  let most = 0;
  for (let i = 0; i < theirs.length; i++) most = Math.max(most, Math.abs((ours[i] ?? NaN) - (theirs[i] ?? NaN)));
  assert.ok(most < 1e-6, String(most));
  assert.throws(() => engine.kernels.momentumStep?.(tf.ones([3]), tf.ones([2]), tf.ones([3]), tf.scalar(1), tf.tensor1d([1, 0, 1])), /alike/);
});

test('the loss and its gradient are torch.nn.CrossEntropyLoss\'s, with label smoothing and without', () => {
  const { tf } = engine;
  const logits = tf.tensor2d([[2, -1, 0.5, 0.25], [0.1, 0.2, 3, -2], [-0.5, 1.5, 1.25, 0]]);
  const labels = Int32Array.of(0, 2, 3);
  // By PyTorch 2.13 in float64.
  const expected: [number, number, number[]][] = [
    [0, 0.9148094471543297, [-0.10292249, 0.01147148, 0.051411608, 0.040039401, 0.01633845, 0.018056779, -0.036395977, 0.002000748, 0.021107226, 0.155962476, 0.121463699, -0.298533401]],
    [0.1, 1.0373094471543296, [-0.07792249, 0.003138147, 0.043078275, 0.031706068, 0.008005116, 0.009723446, -0.011395977, -0.006332585, 0.012773893, 0.147629143, 0.113130365, -0.273533401]],
    [0.4, 1.4048094471543298, [-0.00292249, -0.021861853, 0.018078275, 0.006706068, -0.016994884, -0.015276554, 0.063604023, -0.031332585, -0.012226107, 0.122629143, 0.088130365, -0.198533401]],
  ];
  for (const [smoothing, loss, gradient] of expected) {
    const { value, grad } = tf.valueAndGrad((z: Tensor) => crossEntropy(tf, z, labels, smoothing))(logits);
    assert.ok(Math.abs((value.dataSync()[0] ?? NaN) - loss) < 1e-6 * loss, `loss at ${String(smoothing)}`);
    grad.dataSync().forEach((each, index) => { assert.ok(Math.abs(each - (gradient[index] ?? NaN)) < 1e-7, `gradient ${String(index)} at ${String(smoothing)}`); });
    tf.dispose([value, grad]);
  }
  logits.dispose();
});
