// What of node_modules goes into the product: copies, and the licences of everything that is copied or bundled.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { ROOT, StepError } from './steps.mjs';

const MODULES = path.join(ROOT, 'node_modules');

/** The package that a file of an esbuild metafile belongs to, or undefined for our own. */
export function packageOf(file) {
  return /.*(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
}

/**
 * Copies a package with everything that it needs at run time to a node_modules folder, its optional dependencies as far as they are
 * installed (of sharp's: the ones for this platform). Nothing is copied when all is there in the right version.
 * @returns {string[]} the names of what was copied
 */
export function copyPackages(name, destination) {
  const closure = withDependencies(name);
  const names = [...closure.keys()].sort();
  const wanted = JSON.stringify(names.map((each) => [each, readManifest(closure.get(each)).version]));
  const stamp = path.join(destination, '.copied.json');
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === wanted) return names;
  fs.rmSync(destination, { recursive: true, force: true });
  for (const each of names) {
    fs.cpSync(closure.get(each), path.join(destination, each), { recursive: true, dereference: true, filter: (file) => !/\.(?:d\.ts|map)$/.test(file) });
  }
  fs.writeFileSync(stamp, wanted);
  return names;
}

/**
 * A package and all that it needs at run time; optional dependencies as far as they are installed.
 * @returns {Map<string, string>} name → folder
 */
export function withDependencies(name) {
  const closure = new Map();
  const visit = (wanted, from, optional) => {
    const folder = findPackage(wanted, from);
    if (folder === undefined) {
      if (optional) return;
      throw new StepError(`${wanted} is not installed; run npm ci`);
    }
    if (closure.has(wanted)) return;
    closure.set(wanted, folder);
    const { dependencies = {}, optionalDependencies = {} } = readManifest(folder);
    for (const dependency of Object.keys(dependencies)) visit(dependency, folder, dependency in optionalDependencies);
    for (const dependency of Object.keys(optionalDependencies)) visit(dependency, folder, true);
  };
  visit(name, ROOT, false);
  return closure;
}

/** Writes the licence texts of packages to one file, packages with the same text together. */
export function writeNotices(file, names) {
  const byText = new Map();
  for (const name of [...new Set(names)].filter((each) => !each.startsWith('@types/')).sort()) {
    const folder = findPackage(name, ROOT) ?? path.join(MODULES, name);
    const { version, license, author, homepage } = readManifest(folder);
    const texts = fs.readdirSync(folder)
      .filter((entry) => /^(?:licen[cs]e|copying|notice|third-party-notices)/i.test(entry) && fs.statSync(path.join(folder, entry)).isFile())
      .map((entry) => fs.readFileSync(path.join(folder, entry), 'utf8').replaceAll('\r\n', '\n').trim());
    if (texts.length === 0) texts.push(...licensingSection(folder));
    const by = typeof author === 'string' ? author : author?.name;
    const text = texts.length > 0 ? texts.join('\n\n')
      : `Licence: ${license ?? 'see its home page'}${by === undefined ? '' : `, by ${by}`}${homepage === undefined ? '' : `, ${homepage}`}`;
    byText.set(text, [...(byText.get(text) ?? []), `${name} ${version}${typeof license === 'string' ? ` (${license})` : ''}`]);
  }
  const line = '-'.repeat(100);
  const parts = [...byText].map(([text, packages]) => `${line}\n${packages.join('\n')}\n${line}\n${text}\n`);
  fs.writeFileSync(file, `Thaw contains the following packages, under the licences given with each.\n\n${parts.join('\n')}`);
}

/** libvips's package lists the licences of the libraries within it in its README. */
function licensingSection(folder) {
  const readme = path.join(folder, 'README.md');
  const section = fs.existsSync(readme) ? /^## Licensing\n[\s\S]*/m.exec(fs.readFileSync(readme, 'utf8'))?.[0] : undefined;
  return section === undefined ? [] : [section.trim()];
}

function findPackage(name, from) {
  const paths = createRequire(path.join(from, 'package.json')).resolve.paths(`${name}/package.json`) ?? [];
  return paths.map((folder) => path.join(folder, name)).find((folder) => fs.existsSync(path.join(folder, 'package.json')));
}

function readManifest(folder) {
  return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
}
