// The doctor's list on this machine, with a stand-in for nvidia-smi where a GPU is wanted; and a TensorFlow of the person's own.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { LIBRARY_FOLDER, TENSORFLOW_VERSION } from '../../src/engine/pins.js';
import { withoutPaths, type Check } from '../../src/trainer/doctor.js';
import { NO_GPU, pretendNvidiaSmi } from '../harness/pretendGpu.js';
import { makePythonEnvironment } from '../harness/pythonEnvironment.js';
import { EMOJI, jsonLines, temporaryFolder, thaw } from './thaw.js';

async function doctor(environment: NodeJS.ProcessEnv, ...args: string[]): Promise<{ code: number | null; checks: Map<string, Check>; text: string }> {
  const { code, stdout } = await thaw(['doctor', '--json', ...args], environment);
  const { checks } = jsonLines(stdout).at(-1) as unknown as { checks: Check[] };
  return { code, checks: new Map(checks.map((check) => [check.name, check])), text: stdout };
}

test('every part is listed with its state, and a machine without a GPU is well', async (context) => {
  const folder = temporaryFolder(context);
  const { code, checks, text } = await doctor({ PATH: pretendNvidiaSmi(folder, NO_GPU) });
  assert.equal(code, 0, text);
  assert.deepEqual([...checks.keys()], ['Thaw', 'Node', 'Platform', 'C library', 'Python', 'Engine', 'Addon', 'Device', 'GPU', 'GPU training', 'Weights', 'Cache', 'Disk']);
  assert.deepEqual(checks.get('GPU'), { name: 'GPU', state: 'ok', detail: 'No NVIDIA GPU found' });
  assert.match(checks.get('GPU training')!.detail, /untested on hardware/);
  assert.match(checks.get('Cache')!.detail, /TensorFlow \d.* weights and downloads \d/);
  assert.ok(!text.includes(homedir()) && !text.includes(process.env['THAW_HOME'] ?? '?'), 'no private path');
  const whole = await doctor({ PATH: pretendNvidiaSmi(folder, NO_GPU) }, '--paths');
  assert.ok(whole.text.includes(process.env['THAW_HOME'] ?? '?'));
});

test('a driver, its GPUs and what is wrong with them', async (context) => {
  const folder = temporaryFolder(context);
  const PATH = pretendNvidiaSmi(folder, `case "$*" in
*--query-gpu=index*) echo "0, GPU-1, 550.54.15, 8.9, 24564, 564, 3, [N/A], NVIDIA GeForce RTX 4090"; echo "1, GPU-2, 550.54.15, 3.5, 12288, 0, 0, [N/A], Tesla K40c";;
*compute-apps*) echo "GPU-1, 4711, 500, /home/somebody/bin/python3";;
*) exit 0;;
esac`);
  const { checks, text } = await doctor({ PATH });
  assert.deepEqual(checks.get('Driver'), { name: 'Driver', state: 'ok', detail: 'NVIDIA 550.54.15' });
  assert.match(checks.get('GPU 0')!.detail, /RTX 4090, 24 GiB, compute capability 8\.9, 23\.4 GiB free, the one that is used; used by python3 \(pid 4711/);
  assert.ok(checks.has('GPU 1') && !text.includes('somebody'));
  const pinned = await doctor({ PATH, THAW_GPU: '1' });
  assert.equal(pinned.checks.get('GPU')?.state, 'warning');
  assert.match(pinned.checks.get('GPU')!.detail, /Tesla K40c has compute capability 3\.5.*Train on the CPU/);
  const hanging = await doctor({ PATH: pretendNvidiaSmi(folder, 'exec sleep 60') });
  assert.match(hanging.checks.get('GPU')!.detail, /no answer within 5 s/);
});

test('on a machine with nothing, what is missing is missing, and the exit code says so', async (context) => {
  const folder = temporaryFolder(context);
  const { code, checks } = await doctor({ PATH: pretendNvidiaSmi(folder, NO_GPU).split(':')[0], THAW_HOME: path.join(folder, 'home') });
  assert.equal(code, 3);
  for (const name of ['Python', 'Engine', 'Weights']) assert.equal(checks.get(name)?.state, 'missing', name);
});

test('paths are taken out of whatever is said', () => {
  const environment = { HOME: '/home/me', THAW_HOME: '/data/me/cache', THAW_RUNTIME: '/opt/My Stuff/tf' };
  const shown = (detail: string): string => withoutPaths([{ name: 'x', state: 'ok', detail }], environment)[0]!.detail;
  assert.equal(shown('in /data/me/cache/runtimes/a, 3 GiB'), 'in <cache>/runtimes/a, 3 GiB');
  assert.equal(shown('The folder /opt/My Stuff/tf has no tensorflow/lib.so'), 'The folder THAW_RUNTIME has no tensorflow/lib.so');
  assert.equal(shown("can't read '/srv/projects/secret/file.json': EACCES"), "can't read '…/file.json': EACCES");
  assert.equal(shown('/home/me/x'), '~/x');
  assert.equal(shown('in C:\\Users\\me\\x.dll now'), 'in …/x.dll now');
  assert.equal(shown('93.5 img/s, glibc 2.36, 1/2'), '93.5 img/s, glibc 2.36, 1/2');
});

test('a TensorFlow in a Python environment is offered by the doctor, and trains when it is chosen', async (context) => {
  const folder = temporaryFolder(context);
  const environment = makePythonEnvironment(path.join(folder, 'venv'));
  const offered = await doctor({ VIRTUAL_ENV: environment, PATH: pretendNvidiaSmi(folder, NO_GPU) });
  assert.match(offered.checks.get('Also here')!.detail, new RegExp(`TensorFlow ${TENSORFLOW_VERSION.replaceAll('.', '\\.')} \\(cpu\\) in VIRTUAL_ENV, VIRTUAL_ENV`));
  const before = readdirSync(path.join(environment, 'lib', 'python3.12', 'site-packages', LIBRARY_FOLDER));
  const trained = await thaw(['train', EMOJI, '--strategy', 'freeze', '--epochs', '3', '--runs', path.join(folder, 'runs'), '--json'], { THAW_RUNTIME: environment });
  assert.equal(trained.code, 0, trained.stderr);
  assert.ok(Number(jsonLines(trained.stdout).at(-1)?.['accuracy']) > 0.7);
  assert.deepEqual(readdirSync(path.join(environment, 'lib', 'python3.12', 'site-packages', LIBRARY_FOLDER)), before, 'nothing is written into it');
});

test('a TensorFlow before 2.16 is refused by its number', async (context) => {
  const folder = temporaryFolder(context);
  const outcome = await doctor({ THAW_RUNTIME: makePythonEnvironment(path.join(folder, 'venv'), '2.15.1'), PATH: pretendNvidiaSmi(folder, NO_GPU) });
  assert.match(outcome.checks.get('Engine')!.detail, /is 2\.15\.1; Thaw needs 2\.16 or newer/);
});
