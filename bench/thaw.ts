// Thaw's side of the benchmark, by the product's own code. Prints one JSON line.
//   node out/bench/thaw.js forward|step|step-batch BACKBONE WEIGHTS PIXELS.bin    WEIGHTS: a name of own weights, `-` for the published ones
//   node out/bench/thaw.js decode|network RUN FOLDER                             the two halves of `thaw predict`, each alone
// PIXELS.bin: uint8 [64, size, size, 3], size as the backbone's short side after resizing.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { decodeImage } from '../src/dataset/decode.js';
import { readAhead } from '../src/dataset/readAhead.js';
import { unlabelledImages } from '../src/dataset/unlabelled.js';
import { loadEngine } from '../src/engine/load.js';
import { graphFor } from '../src/network/architectures.js';
import { foldBatchNorm, inferenceForward, normalise } from '../src/network/forward.js';
import { BACKBONES } from '../src/protocol/run.js';
import { loadBackbone, preprocessingFor, withHead } from '../src/trainer/backbone.js';
import { readTrainedParameters, readTrainedRecord } from '../src/trainer/trainedModel.js';
import { disposeParameters, finetune, type LabelledImage } from '../src/training/finetune.js';
import { newHead } from '../src/training/loop.js';
import { SeededRandom } from '../src/training/random.js';
import { defaultRecipe } from '../src/training/recipes.js';

const IMAGES = 64;
const BATCH = 16;
const WARM_UP = 3;
const MEASURED = 12;

async function training(mode: string, name: string, weights: string, file: string): Promise<void> {
  const backboneName = BACKBONES.find((known) => known === name);
  if (backboneName === undefined) throw new Error(`no backbone ${name}`);
  const engine = await loadEngine({ environment: process.env, threads: 2 });
  const backbone = await loadBackbone(engine, { backbone: backboneName, colour: 'rgb', ...(weights !== '-' && { weights }) }, process.env);
  const stored = readFileSync(file);
  const preprocessing = preprocessingFor(backboneName);
  const bytes = preprocessing.size ** 2 * 3;
  if (stored.byteLength !== IMAGES * bytes) throw new Error(`${file} holds ${String(stored.byteLength)} bytes`);
  const seconds: number[] = [];

  if (mode === 'forward') {
    const { graph, folded } = backbone;
    const size = graph.preprocessing.crop;
    const pixels = new Uint8Array(BATCH * size * size * 3);
    for (let index = 0; index < pixels.length; index++) pixels[index] = stored[index] ?? 0;
    for (let run = 0; run < WARM_UP + MEASURED; run++) {
      const began = performance.now();
      const logits = engine.tf.tidy(() => inferenceForward(engine, graph, folded, normalise(engine, graph, pixels, BATCH)));
      logits.dataSync();
      logits.dispose();
      if (run >= WARM_UP) seconds.push((performance.now() - began) / 1000);
    }
  } else {
    const graph = graphFor(backboneName, 2);
    const start = withHead(engine, graph, backbone, newHead(graph.featureCount, 2, new SeededRandom(0, 'head')));
    const images: LabelledImage[] = Array.from({ length: (WARM_UP + MEASURED) * BATCH }, (_, index) => ({ path: String(index), sha256: '', class: index % 2 }));
    const source = {
      preprocessing,
      async *stream(wanted: readonly { readonly path: string }[]) {
        for (const [index, image] of wanted.entries()) {
          const from = (Number(image.path) % IMAGES) * bytes;
          yield await Promise.resolve({ index, pixels: new Uint8Array(stored.subarray(from, from + bytes)) });
        }
      },
    };
    const recipe = defaultRecipe('finetune', backboneName);
    if (recipe.body === undefined) throw new Error('the finetune recipe has no body');
    let before = performance.now();
    let step = 0;
    const result = await finetune(engine, graph, start, images, images.slice(0, BATCH), source, { epochs: 1, batch: BATCH, body: { ...recipe.body, reestimateImages: 0, batchNorm: mode === 'step-batch' ? 'batch' : 'frozen' } }, new SeededRandom(0, 'finetune'), {
      stopRequested: () => false,
      onEpoch: () => undefined,
      onStep: () => {
        const now = performance.now();
        if (step++ >= WARM_UP) seconds.push((now - before) / 1000);
        before = now;
      },
    });
    disposeParameters(result.parameters);
    disposeParameters(start);
  }
  report({ mode, imagesPerSecond: BATCH / median(seconds), device: engine.device.name, tensorflow: engine.tensorflowVersion });
}

/** Every image of the folder decoded as `thaw predict` does, and nothing else. */
async function decoding(run: string, folder: string): Promise<void> {
  const { configuration } = await readTrainedRecord(path.resolve(run));
  const preprocessing = preprocessingFor(configuration.backbone);
  const began = performance.now();
  let images = 0;
  for await (const pixels of readAhead(unlabelledImages([folder]), 4 * BATCH, (file) => decodeImage(file, preprocessing))) images += Math.sign(pixels.length);
  report({ mode: 'decode', imagesPerSecond: images / ((performance.now() - began) / 1000) });
}

/** The run's network on pixels that are there already. */
async function network(run: string): Promise<void> {
  const record = await readTrainedRecord(path.resolve(run));
  const engine = await loadEngine({ environment: process.env, threads: 2 });
  const { graph, parameters } = await readTrainedParameters(engine, path.resolve(run), record);
  const folded = foldBatchNorm(engine, graph, parameters);
  const pixels = new Uint8Array(BATCH * graph.preprocessing.crop ** 2 * 3).map((_, index) => (index * 7) % 251);
  const seconds: number[] = [];
  for (let batch = 0; batch < 10 * MEASURED; batch++) {
    const began = performance.now();
    engine.tf.tidy(() => inferenceForward(engine, graph, folded, normalise(engine, graph, pixels, BATCH)).dataSync());
    if (batch >= WARM_UP) seconds.push((performance.now() - began) / 1000);
  }
  report({ mode: 'network', imagesPerSecond: BATCH / (seconds.reduce((sum, value) => sum + value, 0) / seconds.length) });
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

function report(result: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function main([mode = '', first = '', second = '', third = '']: readonly string[]): Promise<void> {
  if (mode === 'decode') await decoding(first, second);
  else if (mode === 'network') await network(first);
  else await training(mode, first, second, third);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
  process.exitCode = 1;
});
