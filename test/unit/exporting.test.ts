// Exports without an engine: names of folders, the folder that is whole or not there, the card, and hostile runs.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { graphFor } from '../../src/network/architectures.js';
import { readOnnx, writeOnnx, type OnnxModel } from '../../src/network/exports/onnxFile.js';
import { preprocessingOf } from '../../src/network/exports/trainedModel.js';
import { WEIGHTS } from '../../src/network/weights/catalogue.js';
import { ThawError } from '../../src/protocol/errors.js';
import { exportFolderName } from '../../src/protocol/exporting.js';
import type { RunData } from '../../src/protocol/run.js';
import { readModelWeights } from '../../src/runs/readRun.js';
import { writeFolderAtomic } from '../../src/storage/atomicFolder.js';
import { readTrainedRecord } from '../../src/trainer/trainedModel.js';
import { modelCard } from '../../src/trainer/modelCard.js';
import { SeededRandom } from '../../src/training/random.js';
import { placeRun, temporaryFolder } from './runFixtures.js';
import { FINGERPRINT, makeRecord, makeResult } from './runRecords.js';

const folder = temporaryFolder();

function isError(code: string, message = /./) {
  return (error: unknown): boolean => error instanceof ThawError && error.code === code && message.test(error.message);
}

const data: RunData = {
  classes: ['ants', 'bees'], layout: 'given', train: 245, validation: 153, test: 0, fingerprint: FINGERPRINT, leftOut: [], leftOutCount: 3, warnings: [],
  counts: [{ train: 124, validation: 70, test: 0 }, { train: 121, validation: 83, test: 0 }],
};

test('the folder of an export is named after data, run and format, whatever the data are called', () => {
  assert.equal(exportFolderName('hymenoptera', 'run-1', 'onnx'), 'hymenoptera-run-1-onnx');
  assert.equal(exportFolderName('../Käfer & Co/x', 'run-1', 'tfjs'), 'Käfer-Co-x-run-1-tfjs');
  assert.equal(exportFolderName('...', 'run-1', 'tfjs'), 'run-1-tfjs');
  assert.equal(exportFolderName('名'.repeat(500), 'run-1', 'pytorch'), `${'名'.repeat(60)}-run-1-pytorch`);
});

describe('a folder that is whole or not there', () => {
  const base = mkdtempSync(path.join(tmpdir(), 'thaw-folder-'));
  after(() => rmSync(base, { recursive: true, force: true }));
  const files = new Map([['a.txt', Buffer.from('one')], ['b.bin', Buffer.of(0, 1)]]);

  test('is checked before it has its name, and makes what is above it', async () => {
    const target = path.join(base, 'deep', 'whole');
    const seen = await writeFolderAtomic(target, files, (temporary) => {
      assert.ok(!readdirSync(path.dirname(target)).includes('whole'));
      return Promise.resolve(readFileSync(path.join(temporary, 'a.txt'), 'utf8'));
    });
    assert.equal(seen, 'one');
    assert.deepEqual(readdirSync(target).sort(), ['a.txt', 'b.bin']);
    assert.deepEqual(readdirSync(path.dirname(target)), ['whole']);
  });

  test('leaves nothing behind when the check fails', async () => {
    const target = path.join(base, 'failed', 'x');
    await assert.rejects(writeFolderAtomic(target, files, () => Promise.reject(new Error('no'))), /no/);
    assert.deepEqual(readdirSync(path.dirname(target)), []);
  });

  test('never replaces what is there', async () => {
    const [full, file, link, empty] = ['full', 'file', 'link', 'empty'].map((name) => path.join(base, 'taken', name)) as [string, string, string, string];
    for (const each of [full, empty]) mkdirSync(each, { recursive: true });
    writeFileSync(path.join(full, 'mine'), '');
    writeFileSync(file, 'mine');
    symlinkSync(empty, link);
    for (const target of [full, file, link]) await assert.rejects(writeFolderAtomic(target, files, () => Promise.resolve()), isError('folder-exists'), target);
    assert.deepEqual([readdirSync(full), readFileSync(file, 'utf8'), readdirSync(empty)], [['mine'], 'mine', []]);
    await writeFolderAtomic(empty, files, () => Promise.resolve());
    assert.equal(readdirSync(empty).length, 2);
    assert.deepEqual(readdirSync(path.dirname(full)).sort(), ['empty', 'file', 'full', 'link']);
  });
});

describe('the model card', () => {
  const graph = graphFor('efficientnet_lite0', 2);
  const weights = { name: 'EfficientNet-Lite0, ImageNet', sha256: WEIGHTS.efficientnet_lite0.sha256, source: 'a package' };
  const environment = { thaw: '0.1.0', node: '20', platform: 'linux-x64', tensorflow: '2.21.0', sharp: '0.35.5', threads: 2, device: { kind: 'cpu' as const, name: 'CPU (2 threads)' }, weights };
  const record = { ...makeRecord({ state: 'finished', environment }), data, result: makeResult(146, 153) };
  const onnx = { format: 'onnx', uint8: false } as const;

  test('says data, classes, accuracy with count, interval and split, recipe, weights and licence', () => {
    const card = modelCard(record, graph, onnx, '9.9.9');
    assert.match(card, /\.954 \[\.909–\.978\]: 146 of 153 images right \(95 % Wilson interval\), on the validation images\. The best of 15 epochs was chosen on these very images/);
    assert.match(card, /245 images for training, 153 for validation/);
    assert.match(card, /3 images were left out/);
    assert.match(card, /\| 1 \| bees \| 121 \| 83 \|/);
    assert.match(card, new RegExp(`SHA-256 \`${weights.sha256}\`\\. Licence: Apache-2\\.0`));
    assert.deepEqual(JSON.parse(/```json\n([\s\S]*?)\n```/.exec(card)?.[1] ?? ''), record.configuration);
    const tested = { ...record, data: { ...data, test: 10 }, result: makeResult(9, 10, { accuracySplit: 'test' }) };
    assert.match(modelCard(tested, graph, onnx, '0'), /9 of 10 images right .*, on the test images, which neither training nor the choice of the epoch has seen/);
    const own = { ...record, environment: { ...environment, weights: { ...weights, sha256: 'f'.repeat(64) } } };
    assert.match(modelCard(own, graph, onnx, '0'), /Their licence is not known to Thaw/);
  });

  test('says how an image becomes the input, for each format and network', () => {
    const card = modelCard(record, graph, onnx, '0');
    assert.match(card, /`input`, is float32 `\[batch, 3, 224, 224\]`, RGB, normalised/);
    assert.match(card, /shorter side has 256 pixels .* bicubic \(Catmull-Rom, a = −0\.5\), widened/);
    assert.match(card, /224 × 224 pixels out of the centre/);
    assert.match(card, /mean = \[127, 127, 127\] and std = \[128, 128, 128\]/);
    const uint8 = modelCard(record, graph, { format: 'onnx', uint8: true }, '0');
    assert.match(uint8, /`pixels`, is uint8 `\[batch, 224, 224, 3\]`/);
    assert.doesNotMatch(uint8, /mean =/);
    const resnet = modelCard(record, graphFor('resnet18', 2), { format: 'tfjs', uint8: false }, '0');
    assert.match(resnet, /float32 `\[batch, 224, 224, 3\]`[\s\S]*bilinear \(triangle\)[\s\S]*mean = \[123\.675, 116\.28, 103\.53\]/);
    const lite2 = preprocessingOf(graphFor('efficientnet_lite2', 2), onnx);
    assert.deepEqual([lite2['resize'], lite2['crop']].map((part) => JSON.stringify(part)), [
      '{"shortSide":292,"longSide":"in proportion, rounded down","kernel":"bicubic (a = -0.5)","antialias":true}',
      '{"size":260,"position":"centre, halves rounded to even"}',
    ]);
  });

  test('says that scratch started from nothing', () => {
    const { weights: _, ...without } = environment;
    const scratch = { ...record, environment: without, configuration: { ...record.configuration, strategy: 'scratch' as const, seed: 3 } };
    assert.match(modelCard(scratch, graph, onnx, '0'), /trained from scratch with Thaw[\s\S]*## Pretrained weights\n\nNone\. Training started from random values, drawn with seed 3/);
  });

  test('says where an image becomes gray', () => {
    const gray = { ...record, configuration: { ...record.configuration, colour: 'gray' as const } };
    const [inGray, uint8] = [onnx, { format: 'onnx', uint8: true } as const].map((choice) => modelCard(gray, graphFor('efficientnet_lite0', 2, 'gray'), choice, '0'));
    assert.match(inGray ?? '', /trained by freeze on gray images[\s\S]*gray on three equal channels, normalised[\s\S]*4\. Make it gray: .*floor\(\(19595 \* red \+ 38470 \* green \+ 7471 \* blue \+ 32768\) \/ 65536\)[\s\S]*5\. Normalise/);
    assert.match(uint8 ?? '', /RGB, pixels as they are, in colour: the network makes them gray and normalises them/);
    assert.doesNotMatch(uint8 ?? '', /Make it gray/);
    for (const card of [inGray, uint8]) assert.deepEqual(JSON.parse(/```json\n([\s\S]*?)\n```/.exec(card ?? '')?.[1] ?? ''), gray.configuration);
    assert.doesNotMatch(modelCard(record, graph, onnx, '0'), /[Mm]akes? (?:it|them) gray|on gray images/);
    assert.equal(preprocessingOf(graph, onnx)['gray'], undefined);
  });

  test('shows names as text only', () => {
    const hostile = { ...record, dataset: { name: '](http://evil) <img src=x>\n# Title', path: 'x' }, data: { ...data, classes: ['a|b`c', 'www.evil.example'] } };
    const card = modelCard(hostile, graph, onnx, '0');
    assert.ok(card.includes('\\](http\\://evil) \\<img src=x\\> # Title'), card.slice(0, 200));
    assert.ok(card.includes('| a\\|b\\`c |'));
    assert.ok(card.includes('| www\\.evil.example |'));
  });
});

describe('the run', () => {
  test('must have a model', async () => {
    const workspace = folder.workspace();
    const live = placeRun(workspace, { 'run.json': JSON.stringify(makeRecord({ state: 'failed' })) });
    await assert.rejects(readTrainedRecord(live), isError('no-model', /run-1 has no trained model: it is failed/));
    const broken = placeRun(workspace, { 'run.json': '{' }, 'run-2');
    await assert.rejects(readTrainedRecord(broken), isError('unreadable-run', /not valid JSON/));
    await assert.rejects(readModelWeights(live), isError('model-unreadable', /it has no model\/model\.safetensors/));
    await assert.rejects(readModelWeights(path.join(path.dirname(live), 'gone')), isError('model-unreadable', /is gone/));
  });

  test('is read through no link', async () => {
    const workspace = folder.workspace();
    const elsewhere = folder.workspace();
    writeFileSync(path.join(elsewhere, 'model.safetensors'), 'secret');
    const linkedFolder = placeRun(workspace, { 'run.json': JSON.stringify(makeRecord()) });
    symlinkSync(elsewhere, path.join(linkedFolder, 'model'));
    await assert.rejects(readModelWeights(linkedFolder), isError('model-unreadable', /"model" is a link/));
    const linkedFile = placeRun(workspace, { 'run.json': JSON.stringify(makeRecord({ id: 'run-2' })) }, 'run-2');
    mkdirSync(path.join(linkedFile, 'model'));
    symlinkSync(path.join(elsewhere, 'model.safetensors'), path.join(linkedFile, 'model', 'model.safetensors'));
    await assert.rejects(readModelWeights(linkedFile), isError('model-unreadable', /"model.safetensors" is a link/));
  });
});

describe('ONNX files', () => {
  const model: OnnxModel = {
    irVersion: 8, opset: 17, producer: { name: 'Thaw', version: '1' }, description: 'ä', metadata: { labels: '["a"]' },
    graph: {
      name: 'g',
      nodes: [{ name: 'n', operator: 'Conv', inputs: ['x', 'w'], outputs: ['y'], attributes: { group: 1, pads: [0, 1, 2, 3], auto_pad: 'NOTSET' } }],
      initializers: [{ name: 'w', shape: [2, 1], data: Float32Array.of(1.5, -0) }, { name: 's', shape: [], data: Float32Array.of(6) }],
      inputs: [{ name: 'x', type: 'uint8', shape: ['batch', 3] }], outputs: [{ name: 'y', type: 'float32', shape: ['batch', 1] }],
    },
  };

  test('are read as they were written', () => {
    assert.deepEqual(readOnnx(writeOnnx(model)), model);
  });

  test('that are damaged are read or refused', () => {
    const random = new SeededRandom(5, 'onnx');
    const whole = writeOnnx(model);
    let refused = 0;
    for (let round = 0; round < 3000; round++) {
      const bytes = Uint8Array.from(whole.subarray(0, random.integer(5) === 0 ? random.integer(whole.length) : whole.length));
      if (bytes.length > 0) bytes[random.integer(bytes.length)] = random.integer(256);
      try {
        readOnnx(bytes);
      } catch (error) {
        if (!(error instanceof ThawError)) throw error;
        refused++;
      }
    }
    assert.ok(refused > 500, String(refused));
  });
});
