// A run on what says it is a GPU: how busy and how full it is stands in events.ndjson, again and again, by the trainer's own process.
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import * as v from 'valibot';
import { trainerEventSchema, type GpuEvent, type TrainerEvent } from '../../src/protocol/events.js';
import type { RunRecord } from '../../src/protocol/run.js';
import { isUnreadable, readRun } from '../../src/runs/readRun.js';
import { ONE_GPU, pretendGpu } from '../harness/pretendGpu.js';
import { EMOJI, jsonLines, startThaw, temporaryFolder } from './thaw.js';

function events(run: string): TrainerEvent[] {
  return readFileSync(path.join(run, 'events.ndjson'), 'utf8').split('\n').slice(0, -1).map((line) => v.parse(trainerEventSchema, JSON.parse(line)));
}

/** The processes that sample for a child of this test. */
function samplers(home: string): string[] {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes('--sample-gpu') && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`THAW_RUNTIME=${home}/`);
    } catch {
      return false; // it has ended meanwhile
    }
  });
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 50)); // the runner's limit ends what never comes
}

test('a run on a GPU samples its use and memory, and says once when nvidia-smi no longer answers', async (context) => {
  const folder = temporaryFolder(context);
  const gone = path.join(folder, 'gone');
  const environment = pretendGpu(folder, `[ -e ${gone} ] && exit 1\n${ONE_GPU}`);
  const running = startThaw(['train', EMOJI, '--strategy', 'finetune', '--epochs', '20', '--runs', path.join(folder, 'runs'), '--json'], environment);
  context.after(() => { running.child.kill('SIGKILL'); });
  for (let count = 0, last = 0; count < 3; count++) last = Number((await running.lineWhere(({ type, time }) => type === 'gpu' && Number(time) > last))['time']);
  writeFileSync(gone, '');
  await running.lineWhere((line) => line['type'] === 'message' && /nvidia-smi no longer answers/.test(String(line['text'])));
  running.child.kill('SIGINT');
  const { code, stdout, stderr } = await running.ended;
  assert.equal(code, 130, stderr);
  const { run } = jsonLines(stdout).at(-1) as { run: string };

  const samples = events(run).filter((event): event is GpuEvent => event.type === 'gpu');
  assert.ok(samples.length >= 3);
  for (const { time: _time, ...sample } of samples) assert.deepEqual(sample, { type: 'gpu', utilization: 0.87, usedBytes: 6 * 1024 ** 3, totalBytes: 24_564 * 1024 ** 2 });
  assert.equal(events(run).filter((event) => event.type === 'message' && event.text.includes('nvidia-smi')).length, 1);

  const { environment: recorded } = JSON.parse(readFileSync(path.join(run, 'run.json'), 'utf8')) as RunRecord;
  assert.deepEqual([recorded?.device.kind, recorded?.device.name], ['gpu', 'NVIDIA GeForce RTX 4090, 24 GiB']);
  const read = await readRun(run);
  assert.ok(!isUnreadable(read));
  assert.equal(read.gpu?.peakBytes, 6 * 1024 ** 3);
  assert.ok(Math.abs((read.gpu.meanUtilization ?? NaN) - 0.87) < 1e-9); // a mean of five times .87 is not .87 to the last bit
});

test('a memory cap that can\'t be kept, as nvidia-smi doesn\'t say how much there is, is said in the run', async (context) => {
  const folder = temporaryFolder(context);
  const pictures = path.join(folder, 'pictures');
  for (const name of ['food', 'vehicles']) {
    const from = path.join(EMOJI, 'train', name);
    for (const file of readdirSync(from).sort().slice(0, 4)) cpSync(path.join(from, file), path.join(pictures, name, file));
  }
  const train = async (name: string, nvidiaSmi: string): Promise<string[]> => {
    const environment = { ...pretendGpu(path.join(folder, name), nvidiaSmi), THAW_GPU_MEMORY_GIB: '4' };
    const { code, stdout, stderr } = await startThaw(['train', pictures, '--strategy', 'freeze', '--epochs', '1', '--runs', path.join(folder, 'runs'), '--json'], environment).ended;
    assert.equal(code, 0, stderr);
    return jsonLines(stdout).filter(({ type }) => type === 'message').map(({ text }) => String(text));
  };
  assert.deepEqual(await train('silent', ONE_GPU.replace('24564, 564', '[N/A], [N/A]')), ['GPU memory is not capped: nvidia-smi doesn\'t say how much this GPU has']);
  assert.deepEqual(await train('plain', ONE_GPU), []);
});

test('the sampling process ends with its trainer, however that ends', async (context) => {
  const folder = temporaryFolder(context);
  const environment = pretendGpu(folder, ONE_GPU);
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    const running = startThaw(['train', EMOJI, '--strategy', 'finetune', '--epochs', '20', '--runs', path.join(folder, 'runs'), '--json'], environment);
    context.after(() => { running.child.kill('SIGKILL'); });
    await running.lineWhere(({ type }) => type === 'gpu');
    assert.equal(samplers(folder).length, 1);
    running.child.kill(signal);
    await running.ended;
    await until(() => samplers(folder).length === 0);
  }
});
