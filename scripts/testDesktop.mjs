// The host suite in a desktop VS Code, which @vscode/test-electron downloads: `npm run test:desktop [-- VERSION]`.
// Needs a screen (under Linux `xvfb-run -a npm run test:desktop` will do) and a network that reaches VS Code's downloads.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { build } from './build.mjs';
import { installPackages, provideEngine } from './setup.mjs';
import { isMain, main, ROOT, step, StepError } from './steps.mjs';
import { trainersUnder } from './testHome.mjs';
import { bundle, makeWorkspace, readLines, testEnvironment } from './test.mjs';

async function testDesktop() {
  await installPackages();
  await build();
  await provideEngine();
  await bundle('host');
  const version = process.argv[2] ?? 'stable';
  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-test-'));
  const results = path.join(base, 'results.jsonl');
  const { downloadAndUnzipVSCode, runTests } = await import('@vscode/test-electron');
  try {
    let executable;
    await step(`VS Code ${version} for the desktop`, async () => {
      executable = await downloadAndUnzipVSCode({ version, cachePath: path.join(ROOT, '.vscode-test') }).catch((error) => {
        throw new StepError(`VS Code could not be downloaded: ${error.message}`);
      });
    });
    await step(`Host suite in VS Code ${version} for the desktop`, async () => {
      await runTests({
        vscodeExecutablePath: executable,
        extensionDevelopmentPath: ROOT,
        extensionTestsPath: path.join(ROOT, 'out', 'host', 'hostSuite.cjs'),
        extensionTestsEnv: { ...testEnvironment(base), TEST_RESULTS: results },
        launchArgs: [makeWorkspace(path.join(base, 'workspace')), '--disable-extensions', '--disable-workspace-trust', '--user-data-dir', path.join(base, 'user')],
      });
    });
    const events = readLines(results);
    const last = events.at(-1);
    if (last?.event !== 'end' || last.tests === 0) throw new StepError('The suite did not run to its end');
    const left = trainersUnder(base);
    if (left.length > 0) throw new StepError(`A trainer was left alive: ${left[0].command}`);
    console.log(`${last.passes} passed, ${last.failures} failed, ${last.pending} skipped`);
    if (last.failures > 0) process.exitCode = 1;
  } finally {
    for (const { pid } of trainersUnder(base)) process.kill(pid, 'SIGKILL');
    fs.rmSync(base, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

if (isMain(import.meta.url)) void main(testDesktop);
