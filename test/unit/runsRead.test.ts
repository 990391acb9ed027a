// Reading run folders: good ones, torn ones, and those of a hostile repository.
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, renameSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { RunSnapshot, UnreadableRun } from '../../src/protocol/snapshot.js';
import { ThawError } from '../../src/protocol/errors.js';
import { EventLog } from '../../src/runs/eventLog.js';
import { isUnreadable, listRuns, readPredictions, readRun, RecordAllowance, RunReader, readSplit, unreadableReason } from '../../src/runs/readRun.js';
import { lines, placeRun, temporaryFolder } from './runFixtures.js';
import { FINGERPRINT, makeEpoch, makePredictions, makeRecord, makeResult } from './runRecords.js';

const folder = temporaryFolder();
const record = (change = {}): string => JSON.stringify(makeRecord(change));

function readable(run: RunSnapshot | UnreadableRun): RunSnapshot {
  if (isUnreadable(run)) assert.fail(run.reason);
  return run;
}

function reason(run: RunSnapshot | UnreadableRun): string {
  if (!isUnreadable(run)) assert.fail('it was read');
  return run.reason;
}

describe('a run', () => {
  test('is read whole, with its best epoch', async () => {
    const workspace = folder.workspace();
    const phase = { type: 'phase', time: 1, phase: 'training', message: 'x' };
    const step = { type: 'step', time: 2, epoch: 1, step: 1, steps: 2, loss: 1, imagesPerSecond: 1 };
    const directory = placeRun(workspace, { 'run.json': record(), 'events.ndjson': lines(phase, step, makeEpoch(1, 140), makeEpoch(2, 146), makeEpoch(3, 146, 0.1), makeEpoch(4, 139)) });
    const run = readable(await readRun(directory, { within: workspace }));
    assert.equal(run.state, 'running');
    assert.deepEqual(run.epochs.map(({ epoch }) => epoch), [1, 2, 3, 4]);
    assert.equal(run.best, 2);
    assert.equal(run.phase?.phase, 'training');
    assert.equal(run.step, undefined);
    assert.equal(run.damagedLines, 0);
    assert.equal(run.lastEventAt, makeEpoch(4).time);
  });
  test('with torn, garbled, repeated and disordered lines keeps what is good', async () => {
    const workspace = folder.workspace();
    const step = { type: 'step', time: 2, epoch: 3, step: 1, steps: 2, loss: 1, imagesPerSecond: 1 };
    const events = `${lines(makeEpoch(2, 100), makeEpoch(1))}{"type":"epo\n\u0000\u0001\n[]\n{"__proto__":{"x":1}}\n\n${lines(makeEpoch(2, 146), step)}{"type":"epoch","torn`;
    const run = readable(await readRun(placeRun(workspace, { 'run.json': record(), 'events.ndjson': events }), { within: workspace }));
    assert.deepEqual(run.epochs.map(({ epoch, validation }) => [epoch, validation.correct]), [[1, 140], [2, 146]]);
    assert.equal(run.damagedLines, 4);
    assert.equal(run.step?.epoch, 3);
    assert.equal(({} as Record<string, unknown>)['x'], undefined);
  });
  test('reads as interrupted when its heartbeat is silent and no process is known', async () => {
    const workspace = folder.workspace();
    const directory = placeRun(workspace, { 'run.json': record(), heartbeat: '' });
    const states = async (ageSeconds: number): Promise<string> => {
      const time = new Date(Date.now() - ageSeconds * 1000);
      utimesSync(path.join(directory, 'heartbeat'), time, time);
      return readable(await readRun(directory, { within: workspace })).state;
    };
    assert.equal(await states(14), 'running');
    assert.equal(await states(16), 'interrupted');
    assert.equal(await states(-3600), 'interrupted');
    writeFileSync(path.join(directory, 'run.json'), record({ state: 'finished', result: makeResult(1, 2) }));
    assert.equal(await states(16), 'finished');
  });
  test('without a heartbeat counts from its record', async () => {
    const workspace = folder.workspace();
    const directory = placeRun(workspace, { 'run.json': record({ state: 'waiting' }) });
    assert.equal(readable(await readRun(directory, { within: workspace })).state, 'waiting');
    assert.equal(readable(await readRun(directory, { within: workspace, now: () => Date.now() + 16_000 })).state, 'interrupted');
  });
  test('is read on from where it was, and anew when the file was cut', async () => {
    const workspace = folder.workspace();
    const directory = placeRun(workspace, { 'run.json': record(), 'events.ndjson': lines(makeEpoch(1)) });
    const file = path.join(directory, 'events.ndjson');
    const reader = new RunReader(directory, { within: workspace });
    const first = await reader.read();
    assert.equal(await reader.read(), first, 'unchanged: the same object');
    const line = lines(makeEpoch(2));
    appendFileSync(file, line.slice(0, 10));
    assert.equal(readable(await reader.read()).epochs.length, 1);
    appendFileSync(file, line.slice(10));
    assert.equal(readable(await reader.read()).epochs.length, 2);
    truncateSync(file, 0);
    assert.equal(readable(await reader.read()).epochs.length, 0);
    writeFileSync(`${file}.new`, lines(makeEpoch(7), makeEpoch(8), makeEpoch(9)));
    renameSync(`${file}.new`, file);
    assert.deepEqual(readable(await reader.read()).epochs.map(({ epoch }) => epoch), [7, 8, 9]);
  });
});

test('an event log gives the same whatever the pieces are', () => {
  const bytes = Buffer.from(`${lines(makeEpoch(1), makeEpoch(2))}garbage\n${lines(makeEpoch(3))}`);
  for (const size of [1, 7, 64, 1000, bytes.length]) {
    const log = new EventLog();
    for (let at = 0; at < bytes.length; at += size) log.feed(bytes.subarray(at, at + size));
    assert.deepEqual([log.epochs.length, log.damagedLines], [3, 1], `pieces of ${size}`);
  }
});

test('samples of the GPU come to the last, the peak and the mean', () => {
  const log = new EventLog();
  const sample = (time: number, usedBytes: number, utilization?: number): object => ({ type: 'gpu', time, usedBytes, totalBytes: 1000, ...(utilization !== undefined && { utilization }) });
  assert.equal(log.gpu, undefined);
  log.feed(Buffer.from([sample(1, 300, 0.2), sample(2, 900, 0.8), sample(3, 400)].map((event) => `${JSON.stringify(event)}\n`).join('')));
  assert.deepEqual(log.gpu, { last: sample(3, 400), peakBytes: 900, meanUtilization: 0.5 });
  assert.equal(log.damagedLines, 0);
  const silent = new EventLog();
  silent.feed(Buffer.from(`${JSON.stringify(sample(1, 300))}\n`));
  assert.deepEqual(silent.gpu, { last: sample(1, 300), peakBytes: 300 });
});

test('a line of more than 1 MiB is passed over without being kept', () => {
  const log = new EventLog();
  const piece = Buffer.alloc(2 ** 16, 0x20);
  for (let i = 0; i < 400; i++) log.feed(piece);
  log.feed(Buffer.from(`\n${lines(makeEpoch(1))}`));
  assert.deepEqual([log.epochs.length, log.damagedLines], [1, 1]);
});

test('an event log of a million lines that are none is given up after a thousand of them', () => {
  for (const [line, damaged] of [['1\n', 1000], ['\n', 0], [' \n', 0]] as const) {
    const log = new EventLog();
    log.feed(Buffer.from(lines(makeEpoch(1))));
    assert.equal(log.givenUp, false);
    const began = performance.now();
    for (let piece = 0; piece < 10; piece++) log.feed(Buffer.from(line.repeat(100_000)));
    log.feed(Buffer.from(lines(makeEpoch(2))));
    assert.deepEqual([log.givenUp, log.damagedLines, log.epochs.length], [true, damaged, 1], JSON.stringify(line));
    assert.ok(performance.now() - began < 1000);
  }
});

test('why a folder can\'t be read keeps what to do about it', () => {
  assert.equal(unreadableReason(new ThawError('run', 'state-folder-unsafe', 'The state folder is somebody else\'s', 'Remove it')), 'The state folder is somebody else\'s. Remove it');
  assert.equal(unreadableReason(Object.assign(new Error('EACCES'), { code: 'EACCES' })), 'the system refuses to read it (EACCES)');
  assert.equal(unreadableReason(new TypeError('ours')), undefined);
});

test('a record that is none is parsed once, until it is another', async (context) => {
  const workspace = folder.workspace();
  const directory = placeRun(workspace, { 'run.json': '{"id": [[[' });
  const reader = new RunReader(directory, { within: workspace });
  const parse = context.mock.method(JSON, 'parse');
  for (let look = 0; look < 3; look++) assert.match(reason(await reader.read()), /run\.json is not valid JSON/);
  assert.equal(parse.mock.callCount(), 1);
  writeFileSync(path.join(directory, 'run.json'), record());
  assert.equal(readable(await reader.read()).record.id, path.basename(directory));
});

test('records that are kept together have a limit', async () => {
  const allowance = new RecordAllowance();
  const workspace = folder.workspace();
  const directory = placeRun(workspace, { 'run.json': record() });
  const [older, newer] = [`${directory.slice(0, -1)} older`, `${directory} newer`];
  assert.equal(allowance.take(newer, 256 * 2 ** 20), true);
  const reader = new RunReader(directory, { within: workspace, allowance });
  assert.match(reason(await reader.read()), /more than 256 MiB together: move some runs away/);
  assert.equal(allowance.take(newer, 255 * 2 ** 20), true); // smaller now
  const run = readable(await reader.read());
  assert.equal(await reader.read(), run);
  assert.equal(allowance.take(older, 2 ** 20), false);
  assert.equal(allowance.take(newer, 256 * 2 ** 20), true); // the older run makes way, and says so
  assert.match(reason(await reader.read()), /move some runs away/);
  allowance.release(newer);
  readable(await reader.read());
  reader.dispose();
  assert.equal(allowance.holds(directory), false);
});

test('a long event log is read in pieces, between which other work goes on', async () => {
  const workspace = folder.workspace();
  const directory = placeRun(workspace, { 'run.json': record(), 'events.ndjson': lines(makeEpoch(1)).repeat(5000) + lines(makeEpoch(2)) });
  let turns = 0;
  let reading = true;
  const count = (): void => {
    turns += 1;
    if (reading) setImmediate(count);
  };
  setImmediate(count);
  const run = readable(await readRun(directory, { within: workspace }));
  reading = false;
  assert.deepEqual([run.epochs.length, run.damagedLines], [2, 0]);
  assert.ok(turns > 15, `${turns} turns`);
  const reader = new RunReader(placeRun(workspace, { 'run.json': record({ id: 'run-2' }), 'events.ndjson': `${'1\n'.repeat(200_000)}${lines(makeEpoch(1))}` }, 'run-2'), { within: workspace });
  const given = readable(await reader.read());
  assert.deepEqual([given.damagedLines, given.epochs.length], [1000, 0]);
  appendFileSync(path.join(given.directory, 'events.ndjson'), lines(makeEpoch(2)));
  assert.equal(await reader.read(), given, 'it is not read any further');
});

describe('a hostile workspace', () => {
  const cases: Record<string, { make: (workspace: string) => string | undefined; expected: RegExp }> = {
    'no record': { make: (workspace) => placeRun(workspace, {}), expected: /no run\.json/ },
    'a record that is no JSON': { make: (workspace) => placeRun(workspace, { 'run.json': '{' }), expected: /not valid JSON/ },
    'more counts than classes can be': {
      make: (workspace) => placeRun(workspace, {
        'run.json': record({
          data: {
            classes: ['a', 'b'], layout: 'split', train: 1, validation: 1, test: 0, counts: Array(20_001).fill({ train: 1, validation: 1, test: 0 }) as [], fingerprint: FINGERPRINT,
            leftOut: [], leftOutCount: 0, warnings: [],
          },
        }),
      }),
      expected: /not valid at data\.counts: /,
    },
    'nested without end': { make: (workspace) => placeRun(workspace, { 'run.json': '['.repeat(100_000) }), expected: /not valid/ },
    'a foreign pid': { make: (workspace) => placeRun(workspace, { 'run.json': JSON.stringify({ ...makeRecord(), pid: 1 }) }), expected: /not valid at pid/ },
    'another run\'s record': { make: (workspace) => placeRun(workspace, { 'run.json': record() }, 'run-2'), expected: /another run, "run-1"/ },
    'a name that is none': { make: (workspace) => placeRun(workspace, { 'run.json': record() }, '<img src=x onerror=alert(1)>'), expected: /not that of a run/ },
    'a linked record': {
      make(workspace) {
        writeFileSync(path.join(workspace, 'elsewhere.json'), record());
        const directory = placeRun(workspace, {});
        symlinkSync(path.join(workspace, 'elsewhere.json'), path.join(directory, 'run.json'));
        return directory;
      },
      expected: /"run\.json" is a link/,
    },
    'a record that is a folder': {
      make(workspace) {
        const directory = placeRun(workspace, {});
        mkdirSync(path.join(directory, 'run.json'));
        return directory;
      },
      expected: /"run\.json" is no file/,
    },
    'linked events': {
      make(workspace) {
        const directory = placeRun(workspace, { 'run.json': record() });
        symlinkSync('/dev/zero', path.join(directory, 'events.ndjson'));
        return directory;
      },
      expected: /"events\.ndjson" is a link/,
    },
    'a linked run': {
      make(workspace) {
        const real = placeRun(folder.workspace(), { 'run.json': record() });
        mkdirSync(path.join(workspace, '.thaw', 'runs'), { recursive: true });
        symlinkSync(real, path.join(workspace, '.thaw', 'runs', 'run-1'));
        return undefined;
      },
      expected: /"run-1" is a link/,
    },
    'a linked .thaw': {
      make(workspace) {
        const other = folder.workspace();
        placeRun(other, { 'run.json': record() });
        symlinkSync(path.join(other, '.thaw'), path.join(workspace, '.thaw'));
        return undefined;
      },
      expected: /"\.thaw" is a link/,
    },
  };
  for (const [name, { make, expected }] of Object.entries(cases)) {
    test(name, async () => {
      const workspace = folder.workspace();
      const directory = make(workspace) ?? path.join(workspace, '.thaw', 'runs', 'run-1');
      assert.match(reason(await readRun(directory, { within: workspace })), expected);
      assert.match(reason(await readRun(directory)), expected, 'without being told what must contain it');
      const listed = await listRuns(path.join(workspace, '.thaw', 'runs'), { within: workspace });
      assert.equal(listed.length, 1);
      assert.match(reason(listed[0]!), expected);
    });
  }
  test('a record of 200 MiB is refused unread', async () => {
    const workspace = folder.workspace();
    const directory = placeRun(workspace, { 'run.json': '{' });
    truncateSync(path.join(directory, 'run.json'), 200 * 2 ** 20);
    assert.match(reason(await readRun(directory, { within: workspace })), /larger than 8 MiB/);
  });
  test('a run outside the folder that must contain it', async () => {
    const directory = placeRun(folder.workspace(), { 'run.json': record() });
    assert.match(reason(await readRun(directory, { within: folder.workspace() })), /lies outside/);
    assert.match(reason(await readRun(path.join(folder.workspace(), '.thaw', '..', '..', 'x'), { within: folder.workspace() })), /outside/);
  });
  test('names as HTML come back as they are', async () => {
    const workspace = folder.workspace();
    const html = '<img src=x onerror=alert(1)>';
    const run = readable(await readRun(placeRun(workspace, { 'run.json': record({ dataset: { name: html, path: html } }) }), { within: workspace }));
    assert.equal(run.record.dataset.name, html);
  });
});

describe('a runs folder', () => {
  test('that is missing has no runs', async () => {
    assert.deepEqual(await listRuns(path.join(folder.workspace(), '.thaw', 'runs')), []);
  });
  test('lists the newest first and what can\'t be read last', async () => {
    const workspace = folder.workspace();
    placeRun(workspace, { 'run.json': record({ id: 'b', createdAt: '2026-01-02T00:00:00.000Z' }) }, 'b');
    placeRun(workspace, { 'run.json': record({ id: 'a', createdAt: '2026-01-03T00:00:00.000Z' }) }, 'a');
    placeRun(workspace, { 'run.json': record({ id: 'c', createdAt: '2026-01-01T00:00:00.000Z' }) }, 'c');
    placeRun(workspace, {}, 'd');
    writeFileSync(path.join(workspace, '.thaw', 'runs', 'notes.txt'), '');
    assert.deepEqual((await listRuns(path.join(workspace, '.thaw', 'runs'))).map((run) => path.basename(run.directory)), ['a', 'b', 'c', 'd']);
  });
  test('shows a run whose time is none as what can\'t be read, and the others as ever', async () => {
    const workspace = folder.workspace();
    const runs = path.join(workspace, '.thaw', 'runs');
    placeRun(workspace, { 'run.json': record({ id: 'good' }) }, 'good');
    // Both are ISO 8601; JavaScript reads an hour's offset only with its minutes.
    for (const field of ['createdAt', 'startedAt', 'endedAt']) placeRun(workspace, { 'run.json': record({ id: field, [field]: '2026-01-01T00:00:00+05' }) }, field);
    const listed = await listRuns(runs, { within: workspace });
    assert.deepEqual(listed.map((run) => (isUnreadable(run) ? run.reason : run.record.id)),
      ['good', ...['startedAt', 'endedAt', 'createdAt'].map((field) => `run.json is not valid at ${field}: not a date and time that can be read`)]);
    placeRun(workspace, { 'run.json': record({ id: 'good', createdAt: '2026-01-01T00:00:00+05:00' }), 'events.ndjson': lines({ ...makeEpoch(1), time: 1e300 }, makeEpoch(2)) }, 'good');
    const good = readable((await listRuns(runs, { within: workspace }))[0]!);
    assert.deepEqual([good.record.createdAt, good.epochs.length, good.damagedLines], ['2026-01-01T00:00:00+05:00', 1, 1]);
  });
  test('that a person named may be a link', async () => {
    const workspace = folder.workspace();
    placeRun(workspace, { 'run.json': record() });
    const link = path.join(folder.workspace(), 'named');
    symlinkSync(path.join(workspace, '.thaw', 'runs'), link);
    assert.equal(readable((await listRuns(link))[0]!).record.id, 'run-1');
  });
});

describe('predictions and split', () => {
  test('are read, and refused with a line when they are bad', async () => {
    const workspace = folder.workspace();
    const predictions = makePredictions([true, false]);
    const directory = placeRun(workspace, { 'run.json': record(), 'predictions.ndjson': lines(...predictions) });
    assert.deepEqual(await readPredictions(directory, { within: workspace }), predictions);
    appendFileSync(path.join(directory, 'predictions.ndjson'), '{"path":1}\n');
    await assert.rejects(readPredictions(directory, { within: workspace }), (error) => error instanceof ThawError && /line 3 of predictions\.ndjson is not valid/.test(error.message));
    await assert.rejects(readSplit(directory, { within: workspace }), (error) => error instanceof ThawError && error.code === 'split-unreadable');
  });
});
