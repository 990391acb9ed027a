// Sets the checkout up: packages, build, TensorFlow and weights. Does only what is missing; Node built-ins only until packages are there.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { isMain, main, ROOT, run, step, StepError } from './steps.mjs';

const OLDEST_NODE = 20;
const NPM = process.platform === 'win32' ? 'npm.cmd' : 'npm';

/** npm ci, when node_modules is missing or of another package-lock.json. */
export async function installPackages() {
  if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
    throw new StepError(`Thaw needs Node ${OLDEST_NODE} or newer; this is ${process.version}.`);
  }
  const stampFile = path.join(ROOT, 'node_modules', '.thaw-installed');
  const stamp = createHash('sha256').update(fs.readFileSync(path.join(ROOT, 'package-lock.json'))).digest('hex');
  if (fs.existsSync(stampFile) && fs.readFileSync(stampFile, 'utf8') === stamp) return;
  await step('npm packages', async () => {
    await npm('ci');
    await provideSharp();
    fs.writeFileSync(stampFile, stamp);
  });
}

/**
 * What npm left out on a Node older than 20.9, for which sharp isn't declared: the optional packages with its binary. They run there (see
 * CONTRIBUTING.md), and come when npm is made to take them, in a folder of their own, where nothing else is forced.
 */
async function provideSharp() {
  const name = `@img/sharp-${process.platform}-${process.arch}`;
  const { packages } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8'));
  const locked = packages[`node_modules/${name}`];
  if (locked === undefined || fs.existsSync(path.join(ROOT, 'node_modules', name))) return;
  const folder = path.join(ROOT, 'node_modules', '.thaw-sharp');
  const wanted = [name, ...Object.keys(locked.optionalDependencies ?? {})];
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }');
  await npm('install', '--force', '--no-save', '--prefix', folder, ...wanted.map((each) => `${each}@${packages[`node_modules/${each}`].version}`));
  fs.mkdirSync(path.join(ROOT, 'node_modules', '@img'), { recursive: true });
  for (const each of wanted) {
    fs.rmSync(path.join(ROOT, 'node_modules', each), { recursive: true, force: true });
    fs.renameSync(path.join(folder, 'node_modules', each), path.join(ROOT, 'node_modules', each));
  }
  fs.rmSync(folder, { recursive: true });
}

async function npm(...args) {
  await run(NPM, [...args, '--no-audit', '--no-fund', '--loglevel=error'], { shell: process.platform === 'win32' });
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
