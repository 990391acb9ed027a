// Sets the checkout up: packages, build, TensorFlow and weights. Does only what is missing; Node built-ins only until packages are there.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { isMain, main, ROOT, run, step, StepError } from './steps.mjs';

const OLDEST_NODE = [20, 9];
const NPM = process.platform === 'win32' ? 'npm.cmd' : 'npm';

/** npm ci, when node_modules is missing or of another package-lock.json. */
export async function installPackages() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    throw new StepError(`Thaw needs Node ${OLDEST_NODE.join('.')} or newer; this is ${process.version}.`);
  }
  const stampFile = path.join(ROOT, 'node_modules', '.thaw-installed');
  const stamp = createHash('sha256').update(fs.readFileSync(path.join(ROOT, 'package-lock.json'))).digest('hex');
  if (fs.existsSync(stampFile) && fs.readFileSync(stampFile, 'utf8') === stamp) return;
  await step('npm packages', async () => {
    await run(NPM, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { shell: process.platform === 'win32' });
    fs.writeFileSync(stampFile, stamp);
  });
}

/** TensorFlow and the weights, by the product's own set-up. */
export async function provideEngine(environment = process.env) {
  await step('TensorFlow and weights', async () => {
    await run(process.execPath, [path.join('dist', 'cli.js'), 'setup'], { env: environment });
  });
}

/** Everything: afterwards `node dist/cli.js train FOLDER` works. */
export async function setUp() {
  await installPackages();
  const { build } = await import('./build.mjs'); // needs esbuild
  await build();
  await provideEngine();
}

if (isMain(import.meta.url)) await main(setUp);
