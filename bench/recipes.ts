// Trials of finetune recipes, for docs/recipes.md: one dataset, one change of the default recipe, several seeds. Prints a line an epoch and,
// last, a JSON line.
//   node out/bench/recipes.js FOLDER SEED,… [{"epochs":8,"batch":16,"body":{"learningRate":0.0003}}]
import path from 'node:path';
import * as v from 'valibot';
import { assembleDataset } from '../src/dataset/assemble.js';
import { ContentCache } from '../src/dataset/contentCache.js';
import { hashImages } from '../src/dataset/hashing.js';
import { listDataset } from '../src/dataset/listing.js';
import { PixelSource } from '../src/dataset/pixelSource.js';
import { loadEngine } from '../src/engine/load.js';
import { recipeSchema } from '../src/protocol/run.js';
import { cacheFolder } from '../src/storage/folders.js';
import { extractFeatures } from '../src/training/features.js';
import { disposeParameters, finetune } from '../src/training/finetune.js';
import { featureShape, trainHead, type FeatureSet } from '../src/training/freeze.js';
import { newHead } from '../src/training/loop.js';
import { SeededRandom } from '../src/training/random.js';
import { defaultRecipe } from '../src/training/recipes.js';
import { graphFor } from '../src/network/architectures.js';
import { loadBackbone, preprocessingFor, withHead } from '../src/trainer/backbone.js';

const changeSchema = v.object({ epochs: v.optional(v.number()), batch: v.optional(v.number()), body: v.optional(v.record(v.string(), v.unknown())), head: v.optional(v.record(v.string(), v.unknown())) });

async function main(folder: string, seeds: readonly number[], change: v.InferOutput<typeof changeSchema>): Promise<void> {
  const base = defaultRecipe('finetune', 'efficientnet_lite0', { epochs: change.epochs, batch: change.batch });
  const recipe = v.parse(recipeSchema, { ...base, head: { ...base.head, ...change.head }, body: { ...base.body, ...change.body } });
  const { body } = recipe;
  if (body === undefined) throw new Error('the recipe has no body');
  const engine = await loadEngine({ environment: process.env });
  const backbone = await loadBackbone(engine, { backbone: 'efficientnet_lite0', colour: 'rgb' }, process.env);
  const listing = await listDataset(path.resolve(folder));
  const hashes = await hashImages(listing, { splitSeed: 0 });
  const cache = new ContentCache({ folder: path.join(cacheFolder(), 'images'), capBytes: 10 * 2 ** 30 });
  const source = new PixelSource({ root: listing.root, preprocessing: preprocessingFor('efficientnet_lite0'), cache });
  const contents = listing.images.flatMap((image) => hashes.get(image.path) === undefined ? [] : [{ path: image.path, sha256: hashes.get(image.path)?.sha256 ?? '' }]);
  const features = await extractFeatures(contents, { engine, graph: backbone.graph, folded: backbone.folded, weightsSha256: backbone.weights.sha256, source, cache });
  const dataset = assembleDataset(listing, hashes, features.unusable, { splitSeed: 0 });
  const rows = new Map(contents.map((content, index) => [content.path, index]));
  const classes = dataset.classes.length;
  const graph = graphFor('efficientnet_lite0', classes);
  const [train, validation] = (['train', 'validation'] as const).map((split) => dataset.images.filter((image) => image.split === split));
  if (train === undefined || validation === undefined) return;
  const select = (images: typeof train): FeatureSet => ({
    values: features.values, shape: featureShape(graph),
    rows: Int32Array.from(images, (image) => rows.get(image.path) ?? 0), labels: Int32Array.from(images, (image) => image.class),
  });
  const results: { seed: number; freeze: number; finetune: number; epochs: string }[] = [];
  const quiet = { stopRequested: () => false };
  for (const seed of seeds) {
    const head = await trainHead(engine, select(train), select(validation), classes, newHead(graph.featureCount, classes, new SeededRandom(seed, 'head')), recipe.head, new SeededRandom(seed, 'order'), { ...quiet, onEpoch: () => undefined });
    const start = withHead(engine, graph, backbone, head.head);
    const epochs: string[] = [];
    const result = await finetune(engine, graph, start, train, validation, source, { ...recipe, body }, new SeededRandom(seed, 'finetune'), {
      ...quiet,
      onEpoch: (report) => {
        epochs.push(report.validation.accuracy.toFixed(3).slice(1));
        process.stdout.write(`seed ${String(seed)} epoch ${String(report.epoch)}: val ${report.validation.accuracy.toFixed(4)} loss ${report.validation.loss.toFixed(4)}, train ${report.train.accuracy.toFixed(4)} loss ${report.train.loss.toFixed(4)}, ${report.seconds.toFixed(0)} s (head ${(head.validation?.score.accuracy ?? 0).toFixed(4)} loss ${(head.validation?.score.loss ?? 0).toFixed(4)})\n`);
      },
    });
    results.push({ seed, freeze: head.validation?.score.accuracy ?? 0, finetune: result.validation?.score.accuracy ?? 0, epochs: epochs.join(' ') });
    disposeParameters(result.parameters);
    disposeParameters(start);
  }
  process.stdout.write(`${JSON.stringify({ folder: path.basename(folder), change, results })}\n`);
}

void main(process.argv[2] ?? '', (process.argv[3] ?? '0').split(',').map(Number), v.parse(changeSchema, JSON.parse(process.argv[4] ?? '{}'))).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
  process.exitCode = 1;
});
