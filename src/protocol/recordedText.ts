// What is recorded is English: run folders, the CLI's JSON lines and errors say the same wherever they are read. It is translated where it is
// shown: a sentence is taken back to the template that it was made from, and the values in it, which can be such sentences themselves.
import type { Localiser } from './localiser.js';
import TEMPLATES from './recordedTemplates.json';

/** As long as a text of a run folder may be; a longer one stays as it is. */
const LONGEST = 4096;
/** A reason within a reason within a failure, and two sentences in one text. */
const DEEPEST = 4;
/** Places at which one text is tried as two. */
const MOST_SEAMS = 8;
/** Searches through the templates for one text, all its parts included; what is left then stays English. Each takes a time linear in its part. */
export const MOST_SEARCHES = 64;
const MOST_REMEMBERED = 500;
/** What may stand between two texts that were recorded as one. */
const [SENTENCES, LABEL, LIST] = ['. ', ': ', ', '];

interface Template {
  readonly text: string;
  /** What stands around the values, one more than these. */
  readonly literals: readonly string[];
  readonly length: number;
  /** A value in it can be a list. */
  readonly listing: boolean;
}

interface Found {
  readonly template: string;
  readonly values: readonly string[];
}

/** Finds the template of a sentence. */
export class TemplateIndex {
  /** Searches that the last `translate` took. */
  searches = 0;
  private readonly whole: ReadonlySet<string>;
  private readonly open: readonly Template[];

  /**
   * @param sentences `epoch {0} of {1}`: the values in order, never two side by side
   * @param facts what stands between the commas of a list, so that no value in it has one
   */
  constructor(sentences: readonly string[], facts: readonly string[]) {
    const parse = (text: string, listing: boolean): Template => {
      const literals = text.split(/\{\d+\}/);
      return { text, literals, length: literals.join('').length, listing };
    };
    const parsed = [...sentences.map((text) => parse(text, true)), ...facts.map((text) => parse(text, false))];
    this.whole = new Set(parsed.filter(({ literals }) => literals.length === 1).map(({ text }) => text));
    // The most that is fixed first: `The file can't be read ({0})` before `{0} ({1})`.
    this.open = parsed.filter(({ literals }) => literals.length > 1).sort((a, b) => b.length - a.length || a.literals.length - b.literals.length);
  }

  /** The text in the words of `l10n`; as it is where no template fits. */
  translate(text: string, l10n: Localiser): string {
    this.searches = 0;
    return this.part(text, l10n, 0) ?? text;
  }

  private part(text: string, l10n: Localiser, depth: number): string | undefined {
    if (depth === DEEPEST || text === '') return undefined;
    const found = this.find(text);
    // A value at the end of a template would take in the sentence after it.
    const two = found?.template.includes(SENTENCES) === true ? undefined : this.sentences(text, l10n, depth);
    if (two !== undefined) return two;
    if (found === undefined) return this.labelled(text, l10n, depth) ?? this.list(text, l10n, depth);
    const translate = l10n.t.bind(l10n);
    return translate(found.template, ...found.values.map((value) => this.part(value, l10n, depth + 1) ?? value));
  }

  /** What happened, and then what to do. */
  private sentences(text: string, l10n: Localiser, depth: number): string | undefined {
    for (const at of seams(text, SENTENCES)) {
      const first = this.part(text.slice(0, at), l10n, depth + 1);
      const second = first === undefined ? undefined : this.part(text.slice(at + SENTENCES.length), l10n, depth + 1);
      if (first !== undefined && second !== undefined) return first + SENTENCES + second;
    }
    return undefined;
  }

  /** A name, and then a reason. */
  private labelled(text: string, l10n: Localiser, depth: number): string | undefined {
    for (const at of seams(text, LABEL)) {
      const reason = this.part(text.slice(at + LABEL.length), l10n, depth + 1);
      if (reason !== undefined) return (this.part(text.slice(0, at), l10n, depth + 1) ?? text.slice(0, at)) + LABEL + reason;
    }
    return undefined;
  }

  /** Facts, of which some are words. */
  private list(text: string, l10n: Localiser, depth: number): string | undefined {
    const facts = text.split(LIST, MOST_SEAMS + 1);
    if (facts.length === 1 || facts.length > MOST_SEAMS) return undefined;
    const translated = facts.map((fact) => this.part(fact, l10n, depth + 1));
    return translated.every((fact) => fact === undefined) ? undefined : facts.map((fact, at) => translated[at] ?? fact).join(LIST);
  }

  private find(text: string): Found | undefined {
    if (this.searches === MOST_SEARCHES) return undefined;
    this.searches += 1;
    if (this.whole.has(text)) return { template: text, values: [] };
    for (const template of this.open) {
      const values = valuesOf(template, text);
      if (values !== undefined && (template.listing || !values.some((value) => value.includes(LIST)))) return { template: template.text, values };
    }
    return undefined;
  }
}

/** What stands in a text where a template has its values: from left to right, each as short as it can be, never tried again. */
function valuesOf({ literals, length }: Template, text: string): string[] | undefined {
  const [first = '', ...rest] = literals;
  const last = rest.pop() ?? '';
  if (text.length < length || !text.startsWith(first) || !text.endsWith(last)) return undefined;
  const values: string[] = [];
  let at = first.length;
  const end = text.length - last.length;
  for (const literal of rest) {
    const next = text.indexOf(literal, at);
    if (next < 0 || next + literal.length > end) return undefined;
    values.push(text.slice(at, next));
    at = next + literal.length;
  }
  values.push(text.slice(at, end));
  return values;
}

function seams(text: string, seam: string): number[] {
  const found: number[] = [];
  for (let at = text.indexOf(seam); at >= 0 && found.length < MOST_SEAMS; at = text.indexOf(seam, at + 1)) found.push(at);
  return found;
}

let index: TemplateIndex | undefined;
/** Trees and panels say the same again and again. */
const remembered = new WeakMap<Localiser, Map<string, string>>();

/**
 * A text that was recorded in English, from a run folder, a job's JSON lines or an error, in the words of `l10n`. What is no such text, or has
 * no translation, stays as it is; so do names, paths and numbers in it.
 */
export function translateRecorded(text: string, l10n: Localiser): string {
  if (text.length > LONGEST) return text;
  const known = remembered.get(l10n) ?? new Map<string, string>();
  remembered.set(l10n, known);
  let translated = known.get(text);
  if (translated === undefined) {
    index ??= new TemplateIndex(TEMPLATES.sentences, TEMPLATES.facts);
    translated = index.translate(text, l10n);
    if (known.size >= MOST_REMEMBERED) known.clear();
    known.set(text, translated);
  }
  return translated;
}
