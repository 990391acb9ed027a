// From a trained network to the files of a format, and from the files back to numbers, which are compared with the network's own.
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs';
import type { Engine } from '../../engine/load.js';
import { ThawError } from '../../protocol/errors.js';
import { foldBatchNorm, inferenceForward, normalise, type FoldedParameters } from '../forward.js';
import type { Graph } from '../graph.js';
import { loadParameters } from '../parameters.js';
import { readSafetensors, writeSafetensors } from '../weights/safetensors.js';
import type { StateDict } from '../weights/stateDict.js';
import { layersLogits, readLayersModel, writeLayersModel } from './layersModel.js';
import { readOnnx, writeOnnx } from './onnxFile.js';
import { runOnnx } from './onnxInterpreter.js';
import { ONNX_OUTPUTS, onnxModel } from './onnxModel.js';
import { pytorchScript } from './pytorchScript.js';
import { inputFormOf, preprocessingOf, type ExportChoice, type ExportFiles, type TrainedModel } from './trainedModel.js';

export const EXPORTED_FILES = { weights: 'model.safetensors', onnx: 'model.onnx', script: 'predict.py', labels: 'labels.json', preprocessing: 'preprocessing.json', card: 'MODEL_CARD.md' } as const;

/** Probabilities of an export may differ by so much, and logits by this share of the largest: other kernels sum in another order. */
const PROBABILITY_TOLERANCE = 1e-4;
const LOGIT_TOLERANCE = 1e-3;
/** Images that both are run on. */
const PROBES = 4;

/**
 * The files of an export: those of the format, which carry labels, preprocessing and model card inside, and the three beside them as well.
 * @param version of Thaw, for the file's producer
 * @throws ThawError `weights-mismatch`, `not-exportable`
 */
export async function exportNetwork(engine: Engine, model: TrainedModel, choice: ExportChoice, version: string): Promise<ExportFiles> {
  const { graph, state, labels, card } = model;
  const preprocessing = preprocessingOf(graph, choice);
  const texts = { labels: JSON.stringify(labels), preprocessing: JSON.stringify(preprocessing), model_card: card };
  const files = new Map<string, Uint8Array>();
  switch (choice.format) {
    case 'onnx': {
      const made = withFolded(engine, graph, state, (folded) =>
        onnxModel(engine, graph, folded, inputFormOf(choice).name, choice.uint8, { producerVersion: version, description: card, metadata: texts }));
      files.set(EXPORTED_FILES.onnx, writeOnnx(made));
      break;
    }
    case 'tfjs': {
      const folded = foldedOf(engine, graph, state);
      try {
        const metadata = { labels, preprocessing, modelCard: card };
        for (const [name, bytes] of await writeLayersModel(engine, graph, folded, inputFormOf(choice).name, metadata)) files.set(name, bytes);
      } finally {
        folded.dispose();
      }
      break;
    }
    case 'pytorch':
      files.set(EXPORTED_FILES.script, Buffer.from(pytorchScript(graph)));
      files.set(EXPORTED_FILES.weights, writeSafetensors(state, { format: 'pt', architecture: graph.name, ...texts }));
      break;
    case 'safetensors':
      files.set(EXPORTED_FILES.weights, writeSafetensors(state, { format: 'pt', architecture: graph.name, ...texts }));
      break;
  }
  files.set(EXPORTED_FILES.labels, Buffer.from(`${JSON.stringify(labels, undefined, 2)}\n`));
  files.set(EXPORTED_FILES.preprocessing, Buffer.from(`${JSON.stringify(preprocessing, undefined, 2)}\n`));
  files.set(EXPORTED_FILES.card, Buffer.from(card));
  return files;
}

/**
 * Runs the network that the files hold and the trained one on the same pictures.
 * @returns the largest difference between two probabilities
 * @throws ThawError `export-differs`, or what a reader says of a damaged file
 */
export async function compareExport(engine: Engine, model: TrainedModel, choice: ExportChoice, files: ExportFiles): Promise<number> {
  const { tf } = engine;
  const { graph, state } = model;
  const pixels = probePixels(graph);
  const x = normalise(engine, graph, pixels, PROBES);
  let logits: Tensor | undefined;
  let exported: { logits: Tensor; probabilities: Tensor } | undefined;
  try {
    logits = withFolded(engine, graph, state, (folded) => inferenceForward(engine, graph, folded, x));
    exported = await run(engine, graph, choice, files, pixels, x);
    const probabilities = tf.softmax(logits);
    const difference = largestDifference(exported.probabilities, probabilities);
    probabilities.dispose();
    const logitDifference = largestDifference(exported.logits, logits);
    const largest = logits.dataSync<'float32'>().reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // So written that a NaN is a difference too.
    if (!(difference <= PROBABILITY_TOLERANCE && logitDifference <= LOGIT_TOLERANCE * largest)) {
      throw new ThawError('run', 'export-differs', `The ${choice.format} export, read back, gives other numbers than the trained model: ${difference.toExponential(1)} in a probability, ${logitDifference.toExponential(1)} in a logit of at most ${largest.toExponential(1)}`, 'Export again; if it stays so, report it');
    }
    return difference;
  } finally {
    tf.dispose([x, ...(logits === undefined ? [] : [logits]), ...Object.values(exported ?? {})]);
  }
}

/** Logits and probabilities `[images, classes]` by the files alone; the caller's to dispose. */
async function run(engine: Engine, graph: Graph, choice: ExportChoice, files: ExportFiles, pixels: Uint8Array, x: Tensor4D): Promise<{ logits: Tensor; probabilities: Tensor }> {
  const { tf } = engine;
  const held = (name: string): Uint8Array => {
    const bytes = files.get(name);
    if (bytes === undefined) throw new ThawError('run', 'export-differs', `The export has no ${name}`, 'Export again');
    return bytes;
  };
  switch (choice.format) {
    case 'onnx': {
      const model = readOnnx(held(EXPORTED_FILES.onnx));
      const input = choice.uint8 ? tf.tensor(pixels, x.shape, 'int32') : tf.transpose(x, [0, 3, 1, 2]);
      const outputs = runOnnx(engine, model, input);
      input.dispose();
      const [logits, probabilities] = [outputs.get(ONNX_OUTPUTS.logits), outputs.get(ONNX_OUTPUTS.probabilities)];
      if (logits === undefined || probabilities === undefined) throw new ThawError('run', 'export-differs', 'The exported model lacks an output', 'Export again');
      return { logits, probabilities };
    }
    case 'tfjs': {
      const model = await readLayersModel(engine, files);
      try {
        return tf.tidy(() => ({ logits: layersLogits(engine, model, x), probabilities: model.predict(x) as Tensor }));
      } finally {
        model.dispose();
      }
    }
    case 'safetensors':
    case 'pytorch': {
      const { state } = readSafetensors(held(EXPORTED_FILES.weights));
      const logits = withFolded(engine, graph, state, (folded) => inferenceForward(engine, graph, folded, x));
      return { logits, probabilities: tf.softmax(logits as Tensor2D) };
    }
  }
}

function foldedOf(engine: Engine, graph: Graph, state: StateDict): FoldedParameters {
  const parameters = loadParameters(engine.tf, graph, state, { head: 'from-weights' });
  try {
    return foldBatchNorm(engine, graph, parameters);
  } finally {
    for (const tensor of parameters.values()) tensor.dispose();
  }
}

function withFolded<T>(engine: Engine, graph: Graph, state: StateDict, use: (folded: FoldedParameters) => T): T {
  const folded = foldedOf(engine, graph, state);
  try {
    return use(folded);
  } finally {
    folded.dispose();
  }
}

/** Pictures `[images, size, size, 3]` with shapes of several sizes and every level, always the same. */
function probePixels(graph: Graph): Uint8Array {
  const size = graph.inputSize;
  const pixels = new Uint8Array(PROBES * size * size * 3);
  let at = 0;
  for (let image = 0; image < PROBES; image++) {
    const scale = 4 * 2 ** image;
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        for (const colour of [0, 1, 2]) {
          const wave = Math.sin((row + 7 * colour) / scale) + Math.cos((column * (colour + 1) + row) / (2 * scale)) + 0.4 * Math.sin(row * column);
          pixels[at++] = Math.max(0, Math.min(255, Math.round(127.5 + 62 * wave)));
        }
      }
    }
  }
  return pixels;
}

function largestDifference(a: Tensor, b: Tensor): number {
  if (a.shape.join() !== b.shape.join()) return Number.POSITIVE_INFINITY;
  const [first, second] = [a.dataSync(), b.dataSync()];
  let most = 0;
  for (const [index, value] of first.entries()) {
    const difference = Math.abs(value - (second[index] ?? NaN));
    if (!(difference <= most)) most = difference;
  }
  return most;
}
