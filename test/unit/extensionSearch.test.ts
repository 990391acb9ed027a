// The bounded search for image folders, on real folders.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { classCounts, findDatasets, imagesText, isWithin } from '../../src/extension/datasetSearch.js';

let root = '';
before(() => {
  root = mkdtempSync(path.join(tmpdir(), 'thaw-search-'));
  for (const file of [
    'data/pets/cat/1.jpg', 'data/pets/cat/2.jpg', 'data/pets/dog/1.png',
    'data/bugs/train/ants/1.jpg', 'data/bugs/train/bees/1.jpg', 'data/bugs/train/bees/2.jpg', 'data/bugs/val/ants/2.jpg', 'data/bugs/val/bees/3.jpg',
    'node_modules/icons/a/1.png', 'node_modules/icons/b/1.png', '.hidden/a/1.png', '.hidden/b/1.png', 'src/code.ts', 'docs/one.png',
  ]) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), '');
  }
  symlinkSync(root, path.join(root, 'data', 'loop'));
});
after(() => rmSync(root, { recursive: true, force: true }));

test('finds datasets, not folders of datasets, nor what is hidden, linked or a dependency', async () => {
  const { datasets, complete } = await findDatasets(root);
  assert.ok(complete);
  assert.deepEqual(datasets.map((dataset) => [path.relative(root, dataset.root), dataset.images, dataset.classes.map((each) => [each.name, classCounts(each)])]), [
    [path.join('data', 'bugs'), 5, [['ants', '1 / 1'], ['bees', '2 / 1']]],
    [path.join('data', 'pets'), 3, [['cat', '2'], ['dog', '1']]],
  ]);
});

test('says when a bound ended the search', async () => {
  assert.equal((await findDatasets(root, { limits: { folders: 2 } })).complete, false);
  assert.equal((await findDatasets(root, { limits: { datasets: 1 } })).datasets.length, 1);
  const aborted = new AbortController();
  aborted.abort();
  await assert.rejects(findDatasets(root, { signal: aborted.signal }));
});

test('a count that its bound ended says so', () => {
  const l10n = { t: (message: string, value: string | number) => message.replace('{0}', String(value)) };
  assert.equal(imagesText({ images: 1397, complete: true }, l10n), '1,397 images');
  assert.equal(imagesText({ images: 50_000, complete: false }, l10n), 'over 50,000 images');
});

test('knows what lies within a folder', () => {
  assert.ok(isWithin('/w', '/w') && isWithin('/w', '/w/a/b') && isWithin('/w', '/w/..a'));
  assert.ok(!isWithin('/w', '/') && !isWithin('/w', '/wa') && !isWithin('/w', '/w/../x'));
});
