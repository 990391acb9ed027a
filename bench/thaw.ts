// Thaw's side of the benchmark: pixels in memory, the product's own forward pass and finetune loop. Prints one JSON line.
//   node out/bench/thaw.js forward|step|step-batch PIXELS.bin     PIXELS.bin: uint8 [64, 256, 256, 3]
import { readFileSync } from 'node:fs';
import { loadEngine } from '../src/engine/load.js';
import { inferenceForward, normalise } from '../src/network/forward.js';
import { disposeParameters, finetune, type LabelledImage } from '../src/training/finetune.js';
import { newHead } from '../src/training/loop.js';
import { SeededRandom } from '../src/training/random.js';
import { defaultRecipe } from '../src/training/recipes.js';
import { graphFor } from '../src/network/architectures.js';
import { loadBackbone, preprocessingFor, withHead } from '../src/trainer/backbone.js';

const IMAGES = 64;
const BATCH = 16;
const WARM_UP = 3;
const MEASURED = 12;

async function main(mode: string, file: string): Promise<void> {
  const engine = await loadEngine({ environment: process.env, threads: 2 });
  const backbone = await loadBackbone(engine, { backbone: 'efficientnet_lite0' }, process.env);
  const stored = readFileSync(file);
  const preprocessing = preprocessingFor('efficientnet_lite0');
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
    const graph = graphFor('efficientnet_lite0', 2);
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
    const recipe = defaultRecipe('finetune', 'efficientnet_lite0');
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
  seconds.sort((a, b) => a - b);
  const median = seconds[Math.floor(seconds.length / 2)] ?? NaN;
  process.stdout.write(`${JSON.stringify({ mode, imagesPerSecond: BATCH / median, device: engine.device.name, tensorflow: engine.tensorflowVersion })}\n`);
}

void main(process.argv[2] ?? '', process.argv[3] ?? '').catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
  process.exitCode = 1;
});
