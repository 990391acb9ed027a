// Gray against Pillow and torchvision, and through the network's input.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { loadEngine } from '../../src/engine/load.js';
import { graphFor } from '../../src/network/architectures.js';
import { normalise } from '../../src/network/forward.js';
import { grayLevel, grayPixels } from '../../src/network/gray.js';
import { featureKey } from '../../src/training/features.js';

/**
 * Of the gray levels of all 16,777,216 colours, blue fastest and red slowest: Pillow 13.0's `convert('L')`, to which torchvision 0.28's
 * `Grayscale(3)` is equal on each channel. For each red, of an image `[256, 256, 3]`:
 * `sha256.update(numpy.asarray(Image.fromarray(colours).convert('L')).tobytes())`.
 */
const PILLOW = '40a12c2550a7822eba958211e157974abdd4c9a442cc1047c9a48d3a968b6fcc';

test('every colour has Pillow\'s gray level', () => {
  const hash = createHash('sha256');
  const levels = new Uint8Array(256 * 256);
  for (let red = 0; red < 256; red++) {
    for (let green = 0; green < 256; green++) for (let blue = 0; blue < 256; blue++) levels[green * 256 + blue] = grayLevel(red, green, blue);
    hash.update(levels);
  }
  assert.equal(hash.digest('hex'), PILLOW);
});

test('pixels keep their places, and what came in is left alone', () => {
  const pixels = Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 7, 7, 7);
  assert.deepEqual(grayPixels(pixels), Uint8Array.of(76, 76, 76, 150, 150, 150, 29, 29, 29, 7, 7, 7)); // Pillow's
  assert.deepEqual(pixels.slice(0, 3), Uint8Array.of(255, 0, 0));
});

test('a network for gray images sees gray, each channel normalised by its own mean and deviation', async () => {
  const engine = await loadEngine();
  const pixels = Uint8Array.from({ length: 2 * 4 * 4 * 3 }, (_, index) => (index * 37) % 256);
  for (const name of ['resnet18', 'efficientnet_lite0', 'squeezenet1_1'] as const) {
    const [gray, rgb] = [graphFor(name, 2, 'gray'), graphFor(name, 2)];
    const { mean, std } = gray.preprocessing;
    const tensor = normalise(engine, gray, pixels, 2);
    const values = tensor.dataSync<'float32'>();
    tensor.dispose();
    const expected = Float32Array.from(pixels, (_, index) => {
      const [red = 0, green = 0, blue = 0] = pixels.subarray(index - (index % 3), index - (index % 3) + 3);
      return (Math.floor((19_595 * red + 38_470 * green + 7471 * blue + 32_768) / 65_536) - (mean[index % 3] ?? 0)) / (std[index % 3] ?? 1);
    });
    assert.deepEqual(values, expected, name);
    const same = normalise(engine, rgb, grayPixels(pixels), 2);
    assert.deepEqual(same.dataSync<'float32'>(), values, name);
    same.dispose();
    // and its features are nobody else's
    const keys = [gray, rgb].map((graph) => featureKey('0'.repeat(64), 'short256-linear-rgb-1', 'f'.repeat(64), graph, engine));
    assert.notEqual(keys[0], keys[1], name);
  }
});
