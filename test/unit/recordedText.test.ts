// What is recorded in English is shown in the editor's words: every sentence is found in the source, and found again in what was recorded.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { recordedTemplates } from '../../scripts/recordedMessages.mjs';
import { describeDevice } from '../../src/engine/device.js';
import { pinsFor, PLATFORMS } from '../../src/engine/pins.js';
import { asStorageError, pipError } from '../../src/engine/pipWheel.js';
import { describeSetUp } from '../../src/extension/setUpReport.js';
import { ThawError } from '../../src/protocol/errors.js';
import { createLocaliser, ENGLISH, type Localiser } from '../../src/protocol/localiser.js';
import RECORDED from '../../src/protocol/recordedTemplates.json';
import { MOST_SEARCHES, TemplateIndex, translateRecorded } from '../../src/protocol/recordedText.js';

const TEMPLATES = [...RECORDED.sentences, ...RECORDED.facts];
/** Every template between signs that occur nowhere else. */
const PSEUDO = createLocaliser(Object.fromEntries(TEMPLATES.map((template) => [template, `⟦${template}⟧`])));
const filled = (template: string): string => template.replaceAll(/\{(\d+)\}/g, (_, index: string) => `<${index}>`);

describe('the templates', () => {
  test('of what is recorded are found again in it, each as itself, with its values', () => {
    assert.ok(TEMPLATES.length > 300);
    for (const template of TEMPLATES) {
      const text = filled(template);
      assert.equal(translateRecorded(text, PSEUDO), `⟦${text}⟧`, template);
      assert.equal(translateRecorded(text, ENGLISH), text, template);
    }
  });

  test('have their values in order, never two side by side, and words around them', () => {
    for (const template of TEMPLATES) {
      assert.deepEqual([...template.matchAll(/\{(\d+)\}/g)].map(([, index]) => Number(index)), [...template.matchAll(/\{\d+\}/g)].map((_, index) => index), template);
      assert.ok(!/\}\{\d/.test(template) && /\p{L}{2}/u.test(template.replaceAll(/\{\d+\}/g, '')), template);
    }
  });
});

describe('the search for templates in the source', () => {
  const templates = (source: string, more: Readonly<Record<string, string>> = {}): string[] => {
    const { sentences, facts } = recordedTemplates(new Map([['src/a/a.ts', source], ...Object.entries(more)]));
    return [...sentences, ...facts];
  };

  test('finds the sentences of errors, phases, warnings and records, and nothing else', () => {
    assert.deepEqual(templates('throw new ThawError(\'run\', \'x\', `All ${n} of ${a.b()} are gone`, \'Go on\'); throw new Error(\'For the log\');'), ['All {0} of {1} are gone', 'Go on']);
    assert.deepEqual(templates('this.phase(\'features\', `Computing, ${String(a)} of ${b}`, a, b); other.phase(\'x\', \'No sentence\');'), ['Computing, {0} of {1}']);
    assert.deepEqual(templates('warnings.push(`${a} ignored`); this.warnings.push(\'All ignored\'); words.push(\'No sentence\');'), ['All ignored', '{0} ignored']);
    assert.deepEqual(templates('const a = { code: \'no-words\', message: \'Too old\', next: \'Buy one\', other: \'No sentence\' };'), ['Buy one', 'Too old']);
    assert.deepEqual(templates('throw new ThawError(\'input\', \'bad-arguments\', \'Not in the editor\', \'Type again\')'), []);
    assert.deepEqual(recordedTemplates(new Map([['src/trainer/commands/a.ts', 'const a = { message: \'For a terminal\' }']])), { sentences: [], facts: [] });
  });

  test('takes a sentence in each way that it can turn out', () => {
    assert.deepEqual(templates('const a = { reason: `${n} file${n === 1 ? \'\' : \'s\'} left` + (m > 0 ? `, ${m} of them empty` : \'\') }'), ['{0} file left', '{0} file left, {1} of them empty', '{0} files left', '{0} files left, {1} of them empty']);
    assert.deepEqual(templates('const why = a ? \'It is gone\' : error.message; const b = { reason: `Cut short${why}`, next: (why ?? \'Try again\').slice(0, 9) }'), ['Cut shortIt is gone', 'Cut short{0}', 'It is gone', 'Try again']);
    assert.deepEqual(templates('const a = { detail: `${x}${y} are there` }'), ['{0} are there']);
  });

  test('follows helpers, also into other files', () => {
    const helper = 'export function refused(why: string) { return new ThawError(\'run\', \'x\', `Unreadable: ${why}`, advice()); } function advice() { return a ? \'Fetch again\' : \'Give up\'; }';
    assert.deepEqual(templates(helper, { 'src/a/b.ts': 'import { refused } from \'./a.js\'; throw refused(`it has ${n} ends`); refusedNot(\'no such helper\');' }), ['Fetch again', 'Give up', 'Unreadable: {0}', 'it has {0} ends']);
    assert.deepEqual(templates('const facts = [`for ${n}`, ...(a ? [\'and so on\'] : [])]; const b = { detail: `${facts.join(\', \')}, in ${c}` }'), ['{0}, in {1}', 'and so on', 'for {0}']);
  });

  test('makes values of clauses where there are too many ways', () => {
    const ways = (word: string): string => ['one', 'two', 'three', 'four', 'five'].map((each) => `${each} of ${word}`).reduce((rest, each, index) => `a === ${index} ? '${each}' : ${rest}`, '\'none\'');
    const found = templates(`const a = { reason: \`This has \${${ways('them')}} and \${${ways('these')}}\` }`);
    assert.ok(found.length <= 22 && found.includes('five of them'), found.join('\n'));
  });
});

describe('recorded text', () => {
  const german = createLocaliser({ 'a {0} of {1}': '{1} hat {0}', 'it is cut off': 'es ist abgeschnitten', 'Fetch it again': 'Noch einmal holen', 'can be {0}': 'kann {0} sein', '{0} left': '{0} übrig' });
  const index = new TemplateIndex(['a {0} of {1}', 'it is cut off', 'Fetch it again', 'can be {0}', 'a {0} of one'], ['{0} left']);
  const german2 = (text: string): string => index.translate(text, german);

  test('is translated with the values in it, and their values', () => {
    assert.equal(german2('a leaf of a tree'), 'a tree hat leaf');
    assert.equal(german2('a it is cut off of can be it is cut off'), 'kann es ist abgeschnitten sein hat es ist abgeschnitten');
    assert.equal(german2('a leaf of one'), 'a leaf of one', 'the most fixed template is its own, and has no translation');
  });

  test('is two sentences, a name with its reason, or a list, where it is no template', () => {
    assert.equal(german2('it is cut off. Fetch it again'), 'es ist abgeschnitten. Noch einmal holen');
    assert.equal(german2('/a. b.jpg: it is cut off'), '/a. b.jpg: es ist abgeschnitten');
    assert.equal(german2('8.9, 5 GiB left'), '8.9, 5 GiB übrig');
  });

  test('stays as it is where it is something else, and where the language has no word for it', () => {
    for (const text of ['', ' ', 'it is cut', 'It is cut off', 'a b', 'x. y', 'x: y', '{0} {1}', 'ants, bees']) assert.equal(german2(text), text);
    assert.equal(translateRecorded('constructor', PSEUDO), 'constructor');
  });

  test('does not take what a name says for words of its own', () => {
    assert.equal(german2('a {1} of {0}'), '{0} hat {1}');
  });

  test('that is hostile costs a bounded number of searches, each linear in its text', () => {
    const everything = new TemplateIndex(RECORDED.sentences, RECORDED.facts);
    const literals = [...new Set(TEMPLATES.flatMap((template) => template.split(/\{\d+\}/)))].filter((literal) => literal !== '');
    const seams = ['. ', ': ', ', ', '. : , ', 'Stopping. ', 'Stopping: ', 'Stopping, ', 'it is cut off. it is cut off: it is cut off, '];
    for (const piece of [...literals, ...seams, 'a', '\u0000', '{0}']) {
      const text = piece.repeat(Math.ceil(4096 / piece.length)).slice(0, 4096);
      assert.equal(everything.translate(text, ENGLISH), text, piece);
      assert.ok(everything.searches <= MOST_SEARCHES, piece);
    }
    let nested = 'it is cut off';
    while (nested.length < 4000) nested = `The run x can't be read: ${nested}`;
    assert.equal(everything.translate(nested, ENGLISH), nested);
    assert.ok(everything.translate(nested, PSEUDO).endsWith(': it is cut off⟧⟧⟧⟧'), 'no deeper than reasons nest');
    assert.equal(translateRecorded('Stopping'.padEnd(5000), PSEUDO), 'Stopping'.padEnd(5000));
  });
});

describe('what the product says', () => {
  /** Nothing outside of the signs but what `own` takes away. */
  function assertTranslated(text: string, own: RegExp, l10n: Localiser = PSEUDO): void {
    const shown = translateRecorded(text, l10n);
    let rest = shown.replaceAll(own, '');
    for (let before = ''; before !== rest;) {
      before = rest;
      rest = rest.replaceAll(/⟦[^⟦⟧]*⟧/g, '');
    }
    assert.ok(shown.includes('⟦') && !/\p{L}/u.test(rest), shown);
  }
  const thrown = (run: () => unknown): ThawError => {
    try {
      run();
    } catch (error) {
      if (error instanceof ThawError) return error;
    }
    return assert.fail('no ThawError');
  };

  test('of platforms, devices and fetching has a translation', () => {
    for (const platform of [...Object.keys(PLATFORMS).filter((name) => name !== 'linux-x64'), 'aix-ppc64']) {
      const { message, next } = thrown(() => pinsFor('cpu', platform));
      assertTranslated(message, /never/g);
      assertTranslated(next, /never/g);
    }
    const device = describeDevice({ usesGpu: false, flavour: 'cpu', choice: 'auto', threads: 2, gpu: undefined });
    assertTranslated(device.name, /never/g);
    assertTranslated(device.reason ?? '', /never/g);
    assertTranslated(`${device.name}: ${device.reason ?? ''}`, /never/g);
    for (const output of ['No module named pip', 'No space left on device', 'Connection refused', 'No matching distribution found', 'ERROR: other']) {
      const { message, next } = pipError(output, 1, 'tensorflow');
      assertTranslated(message, /never/g);
      assertTranslated(`${message}. ${next}`, /never/g);
    }
    assertTranslated(asStorageError(Object.assign(new Error('EACCES'), { code: 'EACCES' }), '/cache')?.message ?? '', /never/g);
  });

  test('of the set-up is in the report\'s words', () => {
    const report = describeSetUp({ checks: [
      { name: 'Device', state: 'ok', detail: 'CPU (2 threads): this TensorFlow is the CPU build' },
      { name: 'Engine', state: 'missing', detail: 'TensorFlow is not on this machine yet. Run `thaw setup`, or Thaw: Set Up Engine in the editor' },
      { name: 'Cache', state: 'ok', detail: 'images and features 76.6 MiB of at most 10.0 GiB, TensorFlow 1.0 GiB, weights and downloads 30.2 MiB, in /root/.cache/thaw' },
    ] }, PSEUDO);
    assert.match(report, /⟦Device⟧ {2}.*⟦CPU \(2 threads\)⟧: ⟦this TensorFlow is the CPU build⟧\n/);
    assert.match(report, /⟦Engine⟧ {2}.*⟦TensorFlow is not on this machine yet⟧. ⟦Run `thaw setup`, or Thaw: Set Up Engine in the editor⟧\n/);
    assert.match(report, /⟦⟦images and features 76\.6 MiB of at most 10\.0 GiB⟧, .*⟦weights and downloads 30\.2 MiB⟧, in \/root\/\.cache\/thaw⟧\n/);
  });
});
