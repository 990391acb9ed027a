// The manifest against what the code declares: commands, settings, strings, and the rules that hold on every machine.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { COMMANDS } from '../../src/extension/commandTable.js';
import { SETTINGS } from '../../src/extension/settings.js';

interface MenuItem { readonly command?: string; readonly submenu?: string; readonly when?: string; readonly group?: string }
interface Manifest {
  readonly engines: { readonly vscode: string };
  readonly main: string;
  readonly icon: string;
  readonly activationEvents: readonly string[];
  readonly extensionKind: readonly string[];
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly capabilities: {
    readonly untrustedWorkspaces: { readonly supported: unknown; readonly restrictedConfigurations: readonly string[] };
    readonly virtualWorkspaces: { readonly supported: unknown };
  };
  readonly contributes: {
    readonly commands: readonly { readonly command: string; readonly title: string; readonly category: string }[];
    readonly submenus: readonly { readonly id: string; readonly label: string }[];
    readonly menus: Readonly<Record<string, readonly MenuItem[]>>;
    readonly views: Readonly<Record<string, readonly { readonly id: string; readonly name: string }[]>>;
    readonly viewsWelcome: readonly { readonly view: string; readonly contents: string; readonly when?: string }[];
    readonly viewsContainers: { readonly activitybar: readonly { readonly icon: string }[] };
    readonly configuration: { readonly properties: Readonly<Record<string, { readonly scope: string }>> };
    readonly jsonValidation: readonly { readonly fileMatch: string; readonly url: string }[];
  };
}

const root = process.cwd();
const text = readFileSync(path.join(root, 'package.json'), 'utf8');
const manifest = JSON.parse(text) as Manifest;
const strings = JSON.parse(readFileSync(path.join(root, 'package.nls.json'), 'utf8')) as Readonly<Record<string, string>>;
const { contributes } = manifest;

const translated = (value: string): string | undefined => strings[value.slice(1, -1)];

test('the manifest declares the commands of the table, with their titles, under Thaw', () => {
  const declared = Object.fromEntries(contributes.commands.map(({ command, title, category }) => [command, { title: translated(title), category: translated(category) }]));
  const table = Object.fromEntries(Object.entries(COMMANDS).map(([id, { title }]) => [id, { title, category: 'Thaw' }]));
  assert.deepEqual(declared, table);
});

test('the palette offers the commands and hides those of views', () => {
  const palette = contributes.menus['commandPalette'] ?? [];
  const hidden = palette.filter(({ when }) => when === 'false').map(({ command }) => command);
  assert.deepEqual(hidden.sort(), Object.entries(COMMANDS).filter(([, { palette: shown }]) => !shown).map(([id]) => id).sort());
  assert.deepEqual(Object.values(COMMANDS).filter(({ palette: shown }) => shown).map(({ title }) => title), [
    'Train on Folder…', 'Train with Freeze', 'Train with Finetune', 'Compare Freeze and Finetune', 'Which Strategy?', 'Compare Runs…', 'Run Study…', 'Open Study…', 'Classify Image', 'Export Model…', 'Show Recipe', 'Open Run', 'Stop Training',
    'Delete Run', 'Show Log', 'Set Up Engine', 'Set Up GPU…', 'Use Existing TensorFlow…', 'Check Set-up', 'Manage Weights…', 'Clear Cache',
  ]);
});

test('menus name declared commands and submenus only', () => {
  const commands = new Set(contributes.commands.map(({ command }) => command));
  const submenus = new Set(contributes.submenus.map(({ id }) => id));
  for (const [menu, entries] of Object.entries(contributes.menus)) {
    assert.ok(menu.includes('/') || menu === 'commandPalette' || submenus.has(menu), menu);
    for (const { command, submenu } of entries) assert.ok((command !== undefined && commands.has(command)) || (submenu !== undefined && submenus.has(submenu)), JSON.stringify({ menu, command, submenu }));
  }
});

test('a folder in the explorer has the submenu Thaw with five entries, an image with one', () => {
  const [folder, image, ...others] = contributes.menus['explorer/context'] ?? [];
  assert.deepEqual(folder, { submenu: 'thaw.folder', when: 'explorerResourceIsFolder', group: '4_thaw@1' });
  assert.equal(image?.submenu, 'thaw.image');
  const [, extensions] = /^!explorerResourceIsFolder && resourceExtname =~ \/(.*)\/i$/.exec(image.when ?? '') ?? [];
  for (const file of ['a.jpg', 'a.JPEG', 'a.png', 'a.webp', 'a.gif', 'a.tif', 'a.tiff', 'a.avif']) assert.match(path.extname(file), new RegExp(extensions ?? '', 'i'));
  for (const file of ['a.txt', 'a.jpg.txt', 'a.heic', 'jpg']) assert.doesNotMatch(path.extname(file), new RegExp(extensions ?? '', 'i'));
  assert.deepEqual(others, []);
  assert.equal(translated(contributes.submenus[0]?.label ?? ''), 'Thaw');
  assert.deepEqual(contributes.menus['thaw.folder']?.map(({ command }) => command), ['thaw.trainWithFreeze', 'thaw.trainWithFinetune', 'thaw.compareFreezeAndFinetune', 'thaw.whichStrategy', 'thaw.runStudy']);
  assert.deepEqual(contributes.menus['thaw.image']?.map(({ command }) => command), ['thaw.classifyImage']);
});

test('every string that a person reads is translated, and no translation is left over', () => {
  const used = new Set([...text.matchAll(/"%([^%"]+)%"/g)].map((match) => match[1]));
  assert.deepEqual([...used].sort(), Object.keys(strings).sort());
  const readable = [
    ...contributes.commands.flatMap(({ title, category }) => [title, category]), ...contributes.submenus.map(({ label }) => label),
    ...Object.values(contributes.views).flat().map(({ name }) => name), ...contributes.viewsWelcome.map(({ contents }) => contents),
  ];
  for (const value of readable) assert.match(value, /^%[^%]+%$/);
  for (const [key, value] of Object.entries(strings)) assert.doesNotMatch(value, /!|please|oops|successful/i, key);
});

test('activation, kind, trust and engine are as designed', () => {
  assert.deepEqual(manifest.activationEvents, ['onWebviewPanel:thaw.run', 'workspaceContains:.thaw/runs']);
  assert.deepEqual(manifest.extensionKind, ['workspace']);
  assert.equal(manifest.engines.vscode, '^1.100.0');
  assert.equal(manifest.devDependencies['@types/vscode'], '1.100.0');
  assert.equal(manifest.capabilities.untrustedWorkspaces.supported, 'limited');
  assert.equal(manifest.capabilities.virtualWorkspaces.supported, false);
});

test('no condition asks for local files: on a remote the scheme is another', () => {
  for (const match of text.matchAll(/"when": "([^"]*)"/g)) assert.doesNotMatch(match[1] ?? '', /resourceScheme/);
});

test('every setting belongs to the machine, is restricted, and reaches the trainer', () => {
  const { properties } = contributes.configuration;
  const names = Object.keys(properties);
  assert.deepEqual(names.sort(), Object.keys(SETTINGS).map((name) => `thaw.${name}`).sort());
  for (const [name, { scope }] of Object.entries(properties)) assert.equal(scope, 'machine', name);
  assert.deepEqual([...manifest.capabilities.untrustedWorkspaces.restrictedConfigurations].sort(), names);
});

test('welcome views have one button at most, for a command that exists', () => {
  const ours = new Set(Object.keys(COMMANDS));
  for (const { contents } of contributes.viewsWelcome) {
    const links = [...(translated(contents) ?? '').matchAll(/\]\(command:([^)]+)\)/g)].map((match) => match[1] ?? '');
    assert.ok(links.length <= 1, contents);
    for (const link of links) assert.ok(ours.has(link) || ['vscode.openFolder', 'workbench.trust.manage'].includes(link), link);
  }
});

test('the files that the manifest names are there', () => {
  for (const file of [manifest.icon, ...contributes.viewsContainers.activitybar.map(({ icon }) => icon), ...contributes.jsonValidation.map(({ url }) => url)]) {
    assert.ok(existsSync(path.join(root, file)), file);
  }
});
