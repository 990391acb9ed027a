// A machine that Thaw doesn't run on natively says so, and where to go, before anything is looked for or fetched. Only the platform's name is
// another here: what the sentences say follows from it alone.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { jsonLines, temporaryFolder, thaw } from './thaw.js';

const IN_WSL = 'Open the folder in WSL (Remote - WSL): there Thaw runs on Linux, with the GPU; or on a Linux machine over SSH';
const ELSEWHERE = 'Open the folder on a Linux x86-64 machine over SSH, or in a container of one';

for (const { platform, arch, title, reason, next, gpu } of [
  { platform: 'win32', arch: 'x64', title: 'Windows on x86-64', reason: 'Thaw has no addon for Windows', next: IN_WSL, gpu: 'TensorFlow has no GPU support on Windows itself' },
  { platform: 'darwin', arch: 'arm64', title: 'macOS on Apple silicon', reason: 'Thaw has no addon for macOS', next: ELSEWHERE, gpu: 'There is no CUDA on macOS' },
  { platform: 'darwin', arch: 'x64', title: 'macOS on Intel', reason: 'TensorFlow 2.21 is not published for macOS on Intel', next: ELSEWHERE, gpu: 'There is no CUDA on macOS' },
]) {
  test(`${title}: set-up and the doctor say that it is not supported, and what is`, async (context) => {
    const folder = temporaryFolder(context);
    const preload = path.join(folder, 'platform.cjs');
    writeFileSync(preload, `for (const [name, value] of Object.entries(${JSON.stringify({ platform, arch })})) Object.defineProperty(process, name, { value });`);
    const environment = { NODE_OPTIONS: `--require ${preload}`, THAW_HOME: path.join(folder, 'home') };

    for (const [device, words] of [[[], reason], [['--device', 'gpu'], gpu]] as const) {
      const { code, stderr } = await thaw(['setup', ...device], environment);
      assert.equal(code, 3, stderr);
      assert.ok(stderr.startsWith(`Thaw trains on 64-bit x86 Linux only for now; this is ${title}. `) && stderr.includes(words) && stderr.endsWith(`. ${next}.\n`), stderr);
    }
    assert.ok(!existsSync(path.join(folder, 'home', 'wheels')), 'something was fetched');

    const { code, stdout } = await thaw(['doctor', '--json'], environment);
    assert.equal(code, 3);
    const { checks } = jsonLines(stdout)[0] as { checks: { name: string; state: string; detail: string }[] };
    for (const name of ['Platform', 'Engine']) {
      const check = checks.find((each) => each.name === name);
      assert.equal(check?.state, 'missing', JSON.stringify(check));
      assert.ok(check.detail.includes(reason) && check.detail.endsWith(next), check.detail);
    }
  });
}
