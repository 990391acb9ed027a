// How sure each network's head is of photographs and of noise. Photographs: Hymenoptera (ants and bees) and dogs and cats, at most 400 of each, every
// class its share. Noise: 64 images each of four kinds, from a seeded generator.
import path from 'node:path';
import { stratifiedSample } from '../src/advice/folds.js';
import { highestProbabilities, meanWithInterval } from '../src/advice/nearness.js';
import { ContentCache } from '../src/dataset/contentCache.js';
import { hashImages } from '../src/dataset/hashing.js';
import { listDataset } from '../src/dataset/listing.js';
import { PixelSource } from '../src/dataset/pixelSource.js';
import { loadEngine } from '../src/engine/load.js';
import { findWeights } from '../src/network/weights/cache.js';
import { BACKBONES } from '../src/protocol/run.js';
import { cacheFolder } from '../src/storage/folders.js';
import { loadBackbone, preprocessingFor } from '../src/trainer/backbone.js';
import { extractFeatures, headLogits, type FeatureOptions, type Pixels } from '../src/training/features.js';
import { SeededRandom } from '../src/training/random.js';

const PHOTOGRAPHS = ['hymenoptera', 'dog_cat'];
const MOST_PHOTOGRAPHS = 400;
const NOISE_IMAGES = 64;

/** Kind → a drawer of `[size, size, 3]` bytes. */
const NOISE: Readonly<Record<string, (random: SeededRandom, size: number) => Uint8Array>> = {
  uniform: (random, size) => Uint8Array.from({ length: size * size * 3 }, () => random.integer(256)),
  gaussian: (random, size) => Uint8Array.from({ length: size * size * 3 }, () =>
    Math.min(255, Math.max(0, Math.round(127.5 + 64 * Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform()))))),
  blurred: blurredNoise,
  flat: (random, size) => {
    const colour = [random.integer(256), random.integer(256), random.integer(256)];
    return Uint8Array.from({ length: size * size * 3 }, (_, index) => colour[index % 3] ?? 0);
  },
};

/** Random colours on a grid of 8 × 8, bilinear between them. */
function blurredNoise(random: SeededRandom, size: number): Uint8Array {
  const side = 8;
  const grid = Float32Array.from({ length: side * side * 3 }, () => random.integer(256));
  const pixels = new Uint8Array(size * size * 3);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const [y, x] = [(row / (size - 1)) * (side - 1), (column / (size - 1)) * (side - 1)];
      const [top, left] = [Math.min(side - 2, Math.floor(y)), Math.min(side - 2, Math.floor(x))];
      for (const colour of [0, 1, 2]) {
        const at = (down: number, right: number): number => grid[((top + down) * side + left + right) * 3 + colour] ?? 0;
        const [dy, dx] = [y - top, x - left];
        pixels[(row * size + column) * 3 + colour] = Math.round((at(0, 0) * (1 - dx) + at(0, 1) * dx) * (1 - dy) + (at(1, 0) * (1 - dx) + at(1, 1) * dx) * dy);
      }
    }
  }
  return pixels;
}

/** What references.json holds. @param data the folder of the photographs */
export async function measureReferences(data: string): Promise<unknown> {
  const engine = await loadEngine({ environment: process.env });
  const cache = new ContentCache({ folder: path.join(cacheFolder(), 'images'), capBytes: 10 * 2 ** 30 });
  const networks: Record<string, unknown> = {};
  for (const name of BACKBONES.filter((known) => findWeights(known) !== undefined)) {
    const backbone = await loadBackbone(engine, { backbone: name, colour: 'rgb' }, process.env);
    const preprocessing = preprocessingFor(name);
    const options = (source: Pixels, kept: ContentCache | undefined): FeatureOptions =>
      ({ engine, graph: backbone.graph, folded: backbone.folded, weightsSha256: backbone.weights.sha256, source, cache: kept });
    const confidence = (values: Float32Array): number =>
      rounded(meanWithInterval(highestProbabilities(headLogits(engine, backbone.graph, backbone.folded, values), backbone.weights.classes)).mean);

    const photographs: Record<string, number> = {};
    for (const folder of PHOTOGRAPHS) {
      const listing = await listDataset(path.join(data, folder));
      const hashes = await hashImages(listing, { splitSeed: 0 });
      const groups = listing.images.map((image) => hashes.get(image.path)?.sha256 ?? '');
      const rows = stratifiedSample({ labels: Int32Array.from(listing.images, (image) => image.class), groups, classes: listing.classes.length }, MOST_PHOTOGRAPHS);
      const images = rows.flatMap((row) => (listing.images[row] === undefined ? [] : [{ path: listing.images[row].path, sha256: groups[row] ?? '' }]));
      const found = await extractFeatures(images, options(new PixelSource({ root: listing.root, preprocessing, cache }), cache));
      if (found.unusable.size > 0) throw new Error(`${folder} holds images that can't be decoded: ${[...found.unusable.keys()].join(', ')}`);
      photographs[folder] = confidence(found.values);
    }
    const noise: Record<string, number> = {};
    for (const [kind, draw] of Object.entries(NOISE)) {
      const random = new SeededRandom(0, kind);
      const source: Pixels = {
        preprocessing,
        async *stream(wanted) { for (const index of wanted.keys()) yield await Promise.resolve({ index, pixels: draw(random, preprocessing.size) }); },
      };
      noise[kind] = confidence((await extractFeatures(Array.from({ length: NOISE_IMAGES }, (_, index) => ({ path: String(index), sha256: '' })), options(source, undefined))).values);
    }
    networks[name] = { weightsSha256: backbone.weights.sha256, photographs: meanOf(photographs), noise: meanOf(noise), photographsOf: photographs, noiseOf: noise };
    process.stdout.write(`${name}: ${JSON.stringify(networks[name])}\n`);
    backbone.dispose();
  }
  return {
    source: `bench/advice.mjs --references: mean of the head's highest probability; ${PHOTOGRAPHS.join(' and ')}, at most ${String(MOST_PHOTOGRAPHS)} images of each; ${String(NOISE_IMAGES)} images of each kind of noise`,
    networks,
  };
}

function meanOf(values: Readonly<Record<string, number>>): number {
  const all = Object.values(values);
  return rounded(all.reduce((sum, value) => sum + value, 0) / all.length);
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}
