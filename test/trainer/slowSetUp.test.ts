// The real packages from the real index: 3.7 GB and some minutes, so only with THAW_SLOW_TESTS=1.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pinsFor } from '../../src/engine/pins.js';
import { providedRuntime, providedRuntimeFolder } from '../../src/engine/runtime.js';
import { EMOJI, jsonLines, startThaw, temporaryFolder, thaw } from './thaw.js';

const skip = process.env['THAW_SLOW_TESTS'] === '1' ? false : 'fetches gigabytes: THAW_SLOW_TESTS=1';

/** PATH with an nvidia-smi that names a GPU which isn't there. */
function pretendGpu(folder: string): string {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(path.join(bin, 'nvidia-smi'), `#!/bin/sh
case "$*" in
*--query-gpu=index*) echo "0, GPU-1111-aa, 550.54.15, 8.9, 24564, 564, 3, [N/A], NVIDIA GeForce RTX 4090";;
-L) echo "GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-1111-aa)";;
*compute-apps*) ;;
*) exit 2;;
esac
`, { mode: 0o755 });
  return `${bin}:${process.env['PATH'] ?? ''}`;
}

test('the CPU build\'s real wheel, killed at random points and gone on with', { skip }, async (context) => {
  const home = path.join(temporaryFolder(context), 'home');
  const wheels = path.join(home, 'wheels');
  const [{ wheel }] = pinsFor('cpu').packages;
  const kept: number[] = [];
  for (let round = 0; round < 6; round++) {
    const running = startThaw(['setup', '--device', 'cpu', '--json'], { THAW_HOME: home });
    await sleep(1000 + 4000 * Math.random());
    running.child.kill('SIGKILL');
    if (running.child.exitCode === null && running.child.signalCode === null) await once(running.child, 'close');
    assert.equal(providedRuntime(providedRuntimeFolder({ THAW_HOME: home })), undefined, `round ${round}`);
    const names = existsSync(wheels) ? readdirSync(wheels) : [];
    assert.ok(names.filter((name) => name.startsWith('.pip-')).length <= 1, 'one left by the last, none by those before');
    const part = path.join(wheels, `${wheel.file}.part`);
    if (existsSync(part)) kept.push(statSync(part).size);
  }
  const outcome = await thaw(['setup', '--device', 'cpu', '--json'], { THAW_HOME: home });
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.deepEqual(readdirSync(wheels), []);
  assert.deepEqual(readdirSync(path.join(home, 'runtimes')).length, 1);
  context.diagnostic(`parts kept: ${kept.join(', ')} of ${wheel.bytes} bytes`);
});

test('the CUDA build is fetched, loads without a GPU, says that there is none, and trains', { skip }, async (context) => {
  const folder = temporaryFolder(context);
  const home = path.join(folder, 'home');
  const setUp = await thaw(['setup', '--device', 'gpu', '--json'], { THAW_HOME: home, PATH: pretendGpu(folder) });
  assert.equal(setUp.code, 3, setUp.stderr);
  assert.match(setUp.stderr, /could not be proved: TensorFlow can't use the NVIDIA GeForce RTX 4090/);
  const lines = jsonLines(setUp.stdout);
  const plan = lines.find(({ type }) => type === 'plan');
  assert.equal(plan?.['downloadBytes'], 3_370_039_940);
  assert.ok(lines.some(({ bytesPerSecond, secondsLeft }) => typeof bytesPerSecond === 'number' && typeof secondsLeft === 'number'));
  const runtime = providedRuntime(providedRuntimeFolder({ THAW_HOME: home }, 'cuda'));
  assert.equal(runtime?.flavour, 'cuda');
  assert.deepEqual(readdirSync(path.join(home, 'wheels')), []);

  const none = path.join(folder, 'none');
  mkdirSync(none);
  writeFileSync(path.join(none, 'nvidia-smi'), '#!/bin/sh\necho "No devices were found"\nexit 6\n', { mode: 0o755 });
  const environment = { THAW_HOME: home, THAW_RUNTIME: runtime.directory, PATH: `${none}:${process.env['PATH'] ?? ''}` };
  const trained = await thaw(['train', EMOJI, '--strategy', 'freeze', '--epochs', '3', '--runs', path.join(folder, 'runs'), '--json'], environment);
  assert.equal(trained.code, 0, trained.stderr);
  assert.ok(Number(jsonLines(trained.stdout).at(-1)?.['accuracy']) > 0.7);
  const doctor = await thaw(['doctor', '--json'], environment);
  assert.match(doctor.stdout, /[Nn]o NVIDIA GPU found/);

  const again = await thaw(['setup', '--device', 'gpu', '--json'], { THAW_HOME: home, PATH: pretendGpu(folder) });
  assert.equal(again.code, 3);
  assert.ok(!again.stdout.includes('Fetching'), 'it is proved again, and not fetched again');
  const removed = await thaw(['setup', '--remove', '--device', 'gpu', '--json'], { THAW_HOME: home });
  assert.ok(Number(jsonLines(removed.stdout).at(-1)?.['freedBytes']) > 5e9);
});
