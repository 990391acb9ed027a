// `npm test` on an early Node 20: its test runner leaves out hooks around nested tests, and the linter is declared for 20.19. There the tests run
// under a newer Node, fetched by npm into .node/; the product itself is built for every Node 20. Node built-ins only.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, run, step, StepError } from './steps.mjs';

const NEEDED = [20, 19];
const PROVIDED = '20.20.2';

/**
 * Runs a script again under a newer Node where this one is too old for it.
 * @param {string} script absolute path
 * @returns {Promise<number | undefined>} its exit code; undefined where this Node will do
 */
export async function underNewerNode(script) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])) return undefined;
  const node = await provide();
  const child = spawn(node, [script, ...process.argv.slice(2)], { stdio: 'inherit', env: { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH}` } });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function provide() {
  const name = `node-${process.platform}-${process.arch}`;
  const folder = path.join(ROOT, '.node');
  const node = path.join(folder, 'node_modules', name, 'bin', 'node');
  const manifest = path.join(folder, 'node_modules', name, 'package.json');
  if (fs.existsSync(node) && JSON.parse(fs.readFileSync(manifest, 'utf8')).version === PROVIDED) return node;
  await step(`Node ${PROVIDED} for the tests; this is ${process.version}`, async () => {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder);
    fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }');
    await run('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', '--loglevel=error', `${name}@${PROVIDED}`]);
  });
  if (!fs.existsSync(node)) throw new StepError(`npm has no Node ${PROVIDED} for ${process.platform}-${process.arch}. Run the tests with Node ${NEEDED.join('.')} or newer.`);
  return node;
}
