// What a run's network begins as: a pretrained backbone, ready to use, with its graph, its tensors, and where they came from; or random values.
import { readFile } from 'node:fs/promises';
import type { Engine } from '../engine/load.js';
import type { Preprocessing } from '../dataset/decode.js';
import { graphFor } from '../network/architectures.js';
import { foldBatchNorm, type FoldedParameters } from '../network/forward.js';
import { parameterSpecs, type Graph } from '../network/graph.js';
import { initialState } from '../network/initialisation.js';
import { loadParameters, type Parameters } from '../network/parameters.js';
import { findOwnWeights, findWeights, IMAGENET_CLASSES, type WeightsFile } from '../network/weights/cache.js';
import { readWeightsFile } from '../network/weights/weightsFile.js';
import { ThawError } from '../protocol/errors.js';
import { DEFAULT_BACKBONE, type BackboneName, type RunRecord } from '../protocol/run.js';
import type { Head } from '../training/loop.js';
import { SeededRandom } from '../training/random.js';

export interface Backbone {
  /** With as many classes as the weights have; `graphFor` gives the graph with a new head. */
  readonly graph: Graph;
  readonly parameters: Parameters;
  readonly folded: FoldedParameters;
  readonly weights: WeightsFile;
  dispose(): void;
}

/** What a run starts from: a network, and the person's own weights of it, where it isn't the published ones. */
export type Pretrained = Pick<RunRecord['configuration'], 'backbone' | 'weights'>;

/** What a run's network is made from: all of its configuration that says what goes in, and through what. */
export type NetworkChoice = Pretrained & Pick<RunRecord['configuration'], 'colour'>;

/**
 * Reads the pretrained weights of a backbone and folds its batch norms for inference.
 * @throws ThawError `weights-missing` when they were never fetched or added, or what the reader says of a damaged file
 */
export async function loadBackbone(engine: Engine, { backbone: name, weights: own, colour }: NetworkChoice, environment: NodeJS.ProcessEnv): Promise<Backbone> {
  const weights = own === undefined ? findWeights(name, environment) : findOwnWeights(own, environment)?.file;
  if (weights === undefined) throw weightsMissing(name, own);
  const graph = graphFor(name, weights.classes, colour);
  const parameters = loadParameters(engine.tf, graph, await readWeightsFile(await readFile(weights.path)), { head: 'from-weights' });
  const folded = foldBatchNorm(engine, graph, parameters);
  return { graph, parameters, folded, weights, dispose: disposal(parameters, folded) };
}

/** A backbone of random values, which needs no weights on this machine and computes as fast as another: to measure with. */
export function randomBackbone(engine: Engine, name: BackboneName): Omit<Backbone, 'weights'> {
  const graph = graphFor(name, IMAGENET_CLASSES);
  const parameters = randomStart(engine, graph, new SeededRandom(0, 'measure'));
  const folded = foldBatchNorm(engine, graph, parameters);
  return { graph, parameters, folded, dispose: disposal(parameters, folded) };
}

function disposal(parameters: Parameters, folded: FoldedParameters): () => void {
  return () => {
    folded.dispose();
    for (const tensor of parameters.values()) tensor.dispose();
  };
}

function weightsMissing(name: BackboneName, own: string | undefined): ThawError {
  if (own !== undefined) {
    return new ThawError('engine', 'weights-missing', `The weights ${own} are not on this machine, or no longer what they were`, 'Add their file again: `thaw weights add FILE`, or Thaw: Manage Weights… in the editor');
  }
  return new ThawError('engine', 'weights-missing', `The ImageNet weights of ${name} are not on this machine`,
    name === DEFAULT_BACKBONE ? 'Run `thaw setup`, or Thaw: Set Up Engine in the editor' : `Run \`thaw weights get ${name}\`, or Thaw: Manage Weights… in the editor`);
}

/** How images become the square of pixels that is cached: wider than the network's input, so that crops can be drawn from it; in colour, since gray comes last. */
export function preprocessingFor(backbone: BackboneName): Preprocessing {
  const { resizeShortSide, kernel } = graphFor(backbone, 1).preprocessing;
  return { id: `short${String(resizeShortSide)}-${kernel}-rgb-1`, resizeShortSide, size: resizeShortSide, kernel, colour: 'rgb' };
}

/** The whole network at random, as its package begins it; the caller disposes. */
export function randomStart(engine: Engine, graph: Graph, random: SeededRandom): Parameters {
  return loadParameters(engine.tf, graph, initialState(graph, random), { head: 'from-weights' });
}

/** The backbone's tensors (copies that share memory) with another last layer; the caller disposes. */
export function withHead(engine: Engine, graph: Graph, backbone: Pick<Backbone, 'parameters'>, head: Head): Parameters {
  const { tf } = engine;
  return new Map(parameterSpecs(graph).map((spec) => {
    if (spec.node === graph.head) {
      const classes = head.bias.length;
      if (spec.role === 'bias') return [spec.name, tf.tensor(head.bias, [classes])];
      return [spec.name, tf.tensor(head.weight, spec.op === 'dense' ? [graph.featureCount, classes] : [1, 1, graph.featureCount, classes])];
    }
    const tensor = backbone.parameters.get(spec.name);
    if (tensor === undefined) throw new Error(`parameter ${spec.name} is missing`);
    return [spec.name, tensor.clone()];
  }));
}
