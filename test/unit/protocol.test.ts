// The guards of what is read from disk and from the webview, and the schema that is published of them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as v from 'valibot';
import { trainerEventSchema } from '../../src/protocol/events.js';
import { webviewMessageSchema } from '../../src/protocol/messages.js';
import { predictionSchema, runRecordSchema } from '../../src/protocol/run.js';
import { makeEpoch, makePredictions, makeRecord, makeResult } from './runRecords.js';

function accepts(schema: v.GenericSchema, value: unknown): boolean {
  return v.safeParse(schema, value).success;
}

describe('run.json', () => {
  test('the published schema is current', () => {
    const { status, stderr } = spawnSync(process.execPath, [path.join(process.cwd(), 'scripts/make-schemas.mjs'), '--check'], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  });
  test('a record is accepted, whole and begun', () => {
    assert.ok(accepts(runRecordSchema, makeRecord()));
    assert.ok(accepts(runRecordSchema, makeRecord({ state: 'finished', result: makeResult(146, 153) })));
  });
  test('what no trainer writes is refused', () => {
    const record = makeRecord();
    const refused: Record<string, unknown> = {
      'a foreign pid': { ...record, pid: 1 },
      'a state that is only concluded': { ...record, state: 'interrupted' },
      'an id that is a path': { ...record, id: '../other' },
      'an id that begins with a dash': { ...record, id: '-rf' },
      'a backbone that is not ours': { ...record, configuration: { ...record.configuration, backbone: '/bin/sh' } },
      'an accuracy above 1': { ...record, result: { ...makeResult(1, 1), accuracy: 1.5 } },
      'a huge name': { ...record, dataset: { name: 'x'.repeat(2000), path: '.' } },
      'a later format': { ...record, schemaVersion: 2 },
      '__proto__ of JSON': JSON.parse(JSON.stringify(record).replace('{', '{"__proto__":{"polluted":true},')) as unknown,
      'an array': [record],
      'null': null,
    };
    for (const [what, value] of Object.entries(refused)) assert.equal(accepts(runRecordSchema, value), false, what);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  });
});

describe('events.ndjson', () => {
  test('events are accepted as the trainer writes them', () => {
    const time = Date.now();
    for (const event of [
      makeEpoch(1), { type: 'phase', time, phase: 'features', message: 'x', done: 1, total: 2 }, { type: 'message', time, level: 'warning', text: 'x' },
      { type: 'step', time, epoch: 1, step: 1, steps: 2, loss: 0.1, imagesPerSecond: 3 },
      { type: 'gpu', time, utilization: 0.5, usedBytes: 1, totalBytes: 2 }, { type: 'gpu', time, usedBytes: 1, totalBytes: 2 },
    ]) assert.ok(accepts(trainerEventSchema, event), event.type);
  });
  test('others are refused', () => {
    for (const event of [{ ...makeEpoch(1), pid: 1 }, { ...makeEpoch(1), interval: [0, 2] }, { ...makeEpoch(1), epoch: 1.5 }, { type: 'kill', time: 0 }, { type: 'gpu', time: 0, utilization: 87, usedBytes: 1, totalBytes: 2 }, {}, 'epoch']) {
      assert.equal(accepts(trainerEventSchema, event), false, JSON.stringify(event));
    }
    // JSON has no infinity, but a number may be too large to be one.
    assert.equal(accepts(trainerEventSchema, JSON.parse(JSON.stringify(makeEpoch(1)).replace('"seconds":1', '"seconds":1e999'))), false);
  });
});

test('a prediction with a negative class is refused', () => {
  const [prediction] = makePredictions([true]);
  assert.ok(accepts(predictionSchema, prediction));
  assert.equal(accepts(predictionSchema, { ...prediction, truth: -1 }), false);
});

test('the webview can ask for nothing else', () => {
  assert.ok(accepts(webviewMessageSchema, { type: 'stop', directory: '/pictures/.thaw/runs/one' }));
  for (const message of [{ type: 'stop' }, { type: 'stop', directory: '/pictures/.thaw/runs/one', pid: 1 }, { type: 'openStudyRun', directory: '/pictures/.thaw/studies/one', run: '../one' }, { type: 'run', command: 'x' }, { type: 'train', strategy: 'scratch' }, { type: 'openRun' }]) {
    assert.equal(accepts(webviewMessageSchema, message), false, JSON.stringify(message));
  }
});
